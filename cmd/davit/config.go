package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

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
	output := "text"
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a repository's " + target.ConfigFile,
		Long: "Check a repository's " + target.ConfigFile + ", by default the one in this directory, and print\n" +
			"everything that is wrong with it. Exits 0 if it is valid, 2 if not, 3 if there is none.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := target.ConfigFile
			if len(args) > 0 {
				file = args[0]
			}
			return validate(t, file, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "text or json")
	return cmd
}

func validate(t terminal, file, output string) error {
	if output != "text" && output != "json" {
		return usage("-o %s is not known; use text or json", output)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, target.ConfigFile)
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return usage("there is no %s here; Davit works without one, by convention", file)
	}
	if err != nil {
		return exit{code: report.ExitUsage, err: fmt.Errorf("read the configuration: %w", err)}
	}
	_, problems := target.ParseConfig(file, data)
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
