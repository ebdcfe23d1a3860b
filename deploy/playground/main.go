// Command playground is Kubernetes on a laptop, for Davit's tests and demo: the
// real etcd, API server, controller manager and scheduler, built from their own
// Go modules, with nodes whose pods kwok simulates, and kubectl. It is a module
// of its own to keep those dependencies out of the product's.
//
// Its applets are chosen by the first argument:
//
//	playground up --dir DIR   start clusters, and stop them at the end
//	playground kubectl …      kubectl, complete
//
// Pods become ready at once and log something. A pod fails instead if it has
// the label davit.dev/fail=HOW, or a container of it if its image has the tag
// fail-HOW: crash, oom, pull, unready, slow (ready after 10 s) or pending (no
// node fits).
//
// It never runs a container, never listens on anything but loopback, and never
// keeps a cluster's data from one start to the next.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

const usageText = `usage: playground up --dir DIR [--clusters N] [--nodes N] [--until-stdin-ends]
       playground kubectl …
`

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 3
)

func main() {
	applet := ""
	if len(os.Args) > 1 {
		applet = os.Args[1]
	}
	switch component, known := components[applet]; {
	case applet == "up":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := up(ctx, os.Args[2:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	case applet == "kubectl":
		os.Args = append([]string{"kubectl"}, os.Args[2:]...)
		os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
	case applet == "-h" || applet == "--help":
		fmt.Print(usageText)
	case known:
		endWithParent()
		os.Args = os.Args[1:]
		os.Exit(component())
	default:
		fmt.Fprint(os.Stderr, usageText)
		os.Exit(exitUsage)
	}
}
