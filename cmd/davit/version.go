package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at link time for a release; else the build says what it knows.
var version string

// build is what this program was made from.
type build struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	Kustomize string `json:"kustomize"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, known := debug.ReadBuildInfo()
	if !known {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	for _, m := range info.Deps {
		if m.Path == "sigs.k8s.io/kustomize/api" {
			b.Kustomize = m.Version
		}
	}
	return b
}

func versionCommand(t terminal) *cobra.Command {
	output := "text"
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print what this davit is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			switch output {
			case "json":
				return json.NewEncoder(t.out).Encode(b)
			case "text":
				fmt.Fprintf(t.out, "davit %s (%s, %s, kustomize api %s)\n", b.Version, b.Go, b.Platform, b.Kustomize)
				return nil
			}
			return usage("-o %s is not known; use text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "text or json")
	return cmd
}
