package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/target"
)

func configCommand(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check configuration",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(validateCommand(t))
	return cmd
}

func validateCommand(t terminal) *cobra.Command {
	output, operator := "text", false
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a repository's " + target.ConfigFile + ", or the operator's " + config.File,
		Long: "Check a repository's " + target.ConfigFile + ", by default the one in this directory, and print\n" +
			"everything that is wrong with it. With --operator, or if FILE is called " + config.File + "\n" +
			"without a dot before it, it is the operator's file that is checked. What FILE\n" +
			"names, such as kubeconfigs, is not opened.\n\n" +
			"Exits 0 if it is valid, 2 if not, 3 if there is none.",
		Example: "  davit config validate\n" +
			"  davit config validate /etc/davit/" + config.File + "\n" +
			"  davit config validate --operator proposal.yaml -o json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usage("-o %s is not known; use text or json", output)
			}
			var file string
			if len(args) > 0 {
				file = args[0]
			}
			return validate(t, configKindOf(file, operator), file, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "text or json")
	cmd.Flags().BoolVar(&operator, "operator", false, "check the operator's "+config.File)
	return cmd
}

// configKind is one of the two files that configure Davit.
type configKind struct {
	name   string // by which it is found in a directory
	absent string // what it means that there is none
	check  func(file string, data []byte) []manifest.Problem
}

// configKindOf goes by the name of a file: what is in it may be wrong in any way.
func configKindOf(file string, operator bool) configKind {
	if operator || filepath.Base(file) == config.File {
		return configKind{
			name: config.File, absent: "name the operator's file",
			check: func(file string, data []byte) []manifest.Problem {
				_, problems := config.Parse(file, data)
				return problems
			},
		}
	}
	return configKind{
		name: target.ConfigFile, absent: "Davit works without one, by convention",
		check: func(file string, data []byte) []manifest.Problem {
			_, problems := target.ParseConfig(file, data)
			return problems
		},
	}
}

func validate(t terminal, kind configKind, file, output string) error {
	if info, err := os.Stat(file); file == "" || err == nil && info.IsDir() {
		file = filepath.Join(file, kind.name)
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return usage("there is no %s here; %s", file, kind.absent)
	}
	if err != nil {
		return exit{code: report.ExitUsage, err: fmt.Errorf("read the configuration: %w", err)}
	}
	problems := kind.check(file, data)
	if output == "json" {
		if problems == nil {
			problems = []manifest.Problem{}
		}
		if err := json.NewEncoder(t.out).Encode(map[string]any{"file": file, "valid": len(problems) == 0, "errors": problems}); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	} else {
		for _, p := range problems {
			fmt.Fprintln(t.out, p.Error())
		}
		if len(problems) == 0 {
			fmt.Fprintln(t.out, file+" is valid")
		}
	}
	if len(problems) > 0 {
		return exit{code: report.ExitBroken}
	}
	return nil
}
