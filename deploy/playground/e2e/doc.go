// Package e2e holds the playground's long tests, which run the built program as
// its users do:
//
//	make playground
//	cd deploy/playground && DAVIT_PLAYGROUND=$(make -s -C ../.. playground) go test -tags e2e ./e2e
//
// It never imports Kubernetes, so that it compiles at once.
package e2e
