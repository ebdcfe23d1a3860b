// Command playground is the part of Kubernetes that Davit's tests and demo
// run against on a laptop, built from Kubernetes' own Go modules so that it has
// the same version everywhere. It is a module of its own to keep those
// dependencies out of the product's.
//
// Its applets are chosen by the first argument:
//
//	playground kubectl …   kubectl, complete
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "kubectl" {
		fmt.Fprintln(os.Stderr, "usage: playground kubectl …")
		os.Exit(2)
	}
	os.Args = append([]string{"kubectl"}, os.Args[2:]...)
	os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
}
