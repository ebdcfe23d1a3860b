package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// write puts files into a directory of the test's own.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func key(t *testing.T) string {
	t.Helper()
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(made)}))
}

const seed = "app: {slug: davit}\nusers: [{login: alice}]\nrepositories: [{name: alice/shop, files: {a: b}}]\n"

func TestServesUntilItIsTold(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"seed.yaml": seed, "app.pem": key(t), "secret": "hush\n"})
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	data, err := filepath.Rel(here, dir) // as people name directories
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"--data", data, "--app-id", "1", "--app-key", filepath.Join(dir, "app.pem"), "--webhook-url", "http://127.0.0.1:1/",
			"--webhook-secret-file", filepath.Join(dir, "secret"), "--openapi", "../../testdata/openapi/github.json",
		}, in, io.Discard)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ready {
		t.Fatalf("said %q: %v", line, err)
	}
	for path, want := range map[string]string{"/": "alice/shop", "/_sim/violations": "[]", "/alice/shop/pulls": "Pull requests"} {
		got, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v: %.200s, want %q", path, err, text, want)
		}
	}
	if out, err := exec.Command("git", "ls-remote", url+"/alice/shop.git").CombinedOutput(); err != nil || !strings.Contains(string(out), "refs/heads/main") {
		t.Errorf("git: %v: %s", err, out)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("it still serves")
	}
}

// What is wrong with the command line says what to do about it.
func TestMistakes(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"seed.yaml": seed, "app.pem": key(t), "empty": "\n", "no.pem": "hello"})
	good := []string{"--data", dir, "--app-id", "1", "--app-key", filepath.Join(dir, "app.pem")}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing":          {nil, "--data is missing"},
		"no number":        {good[:2], "--app-id is missing"},
		"no key":           {good[:4], "openssl genrsa"},
		"key is not there": {append(good[:4:4], "--app-key", "none.pem"), "openssl genrsa -out none.pem"},
		"key is no key":    {append(good[:4:4], "--app-key", filepath.Join(dir, "no.pem")), "not PEM"},
		"no secret":        {append(good[:6:6], "--webhook-url", "http://localhost"), "--webhook-secret-file is missing"},
		"empty secret":     {append(good[:6:6], "--webhook-secret-file", filepath.Join(dir, "empty")), "is empty"},
		"secret not there": {append(good[:6:6], "--webhook-secret-file", "none"), "read the webhook's secret"},
		"no description":   {append(good[:6:6], "--openapi", "none.json"), "read the OpenAPI description"},
		"no seed":          {append(good[2:6:6], "--data", t.TempDir()), "seed.yaml"},
		"a bad address":    {append(good[:6:6], "--listen", "nowhere"), "listen for clients"},
		"an argument":      {append(good[:6:6], "more"), "flags alone"},
		"unknown flag":     {[]string{"--colour"}, "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), test.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if err := run(t.Context(), []string{"--help"}, io.Discard, io.Discard); err != nil {
		t.Errorf("help: %v", err)
	}
}
