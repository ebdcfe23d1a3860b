// Command davit turns a pull request into the control panel of a Kubernetes
// deployment. It is wiring only: each command puts rooms of internal/ together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/davitops/davit/internal/report"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerCommand {
		os.Exit(renderWorker())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{out: os.Stdout, err: os.Stderr, env: os.Getenv})
	stop()
	os.Exit(code)
}

// terminal is where a command writes, and what it knows of its surroundings.
type terminal struct {
	out, err io.Writer
	env      func(string) string
}

// exit is an error that says which code the program ends with; its error, if
// any, is printed.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

// usage is an error in how a command was called.
func usage(format string, args ...any) error {
	return exit{code: report.ExitUsage, err: fmt.Errorf(format, args...)}
}

// exitInternal is for what is nobody's mistake but Davit's or the machine's.
const exitInternal = 4

func run(ctx context.Context, args []string, t terminal) int {
	root := &cobra.Command{
		Use:           "davit",
		Short:         "The control panel of a Kubernetes deployment, in the pull request",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(args)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w\nSee '%s --help'.", err, cmd.CommandPath())
	})
	root.AddCommand(previewCommand(t), planCommand(t), serveCommand(t), replayCommand(t), configCommand(t), versionCommand(t))
	err := root.ExecuteContext(ctx)
	var stopped exit
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(t.err, "davit: interrupted")
		return 130
	case errors.As(err, &stopped):
		if stopped.err != nil {
			fmt.Fprintln(t.err, "davit:", stopped.err)
		}
		return stopped.code
	case isUsage(root, args):
		fmt.Fprintf(t.err, "davit: %v\nSee 'davit --help'.\n", err)
		return report.ExitUsage
	}
	fmt.Fprintln(t.err, "davit:", err)
	return exitInternal
}

// isUsage reports whether the arguments name no command, or one that takes no
// such arguments; cobra says so in its text alone.
func isUsage(root *cobra.Command, args []string) bool {
	command, rest, err := root.Find(args)
	return err != nil || command.ValidateArgs(command.Flags().Args()) != nil || command.HasSubCommands() && len(rest) > 0
}
