package main_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// leaks are the forms in which a secret value could be seen: whole, the first
// characters that parsers quote of it, and encoded at each of the three offsets
// that base64 has.
func leaks(secret string) []string {
	forms := []string{secret, secret[:7]}
	for offset := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
		forms = append(forms, encoded[4:len(encoded)-4])
	}
	return forms
}

// vault is a repository in which the canary is the value of Secrets in every way
// there is to write one down. ${CANARY} and ${BASE64} stand for it.
const vault = `
-- apps/vault/kustomization.yaml --
resources:
- secret.yaml
- ../plain-base
secretGenerator:
- name: literal
  literals:
  - PASSWORD=${CANARY}
- name: env
  envs: [vault.env]
- name: file
  files: [vault.txt]
patches:
- path: patch.yaml
- patch: |
    apiVersion: v1
    kind: Secret
    metadata: {name: stored}
    stringData: {inline: "${CANARY}"}
- target: {kind: Secret, name: stored}
  patch: |
    - op: add
      path: /data/json
      value: ${BASE64}
replacements:
- source: {kind: Secret, name: stored, fieldPath: stringData.password}
  targets:
  - select: {kind: ConfigMap, name: harmless}
    fieldPaths: [data.copied]
    options: {create: true}
-- apps/vault/secret.yaml --
apiVersion: v1
kind: Secret
metadata:
  name: stored
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"stringData":{"password":"${CANARY}"}}
    note: do not lose ${CANARY}
data:
  encoded: ${BASE64}
stringData:
  password: ${CANARY}
  config: |
    user: me
    password: ${CANARY}
    url: https://me:${CANARY}@db.example
-- apps/vault/patch.yaml --
apiVersion: v1
kind: Secret
metadata: {name: stored}
stringData:
  patched: ${CANARY}
-- apps/vault/vault.env --
TOKEN=${CANARY}
-- apps/vault/vault.txt --
first line
${CANARY}
-- apps/plain-base/kustomization.yaml --
resources: [cm.yaml]
-- apps/plain-base/cm.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: harmless}
-- infrastructure/secrets/secret.yaml --
apiVersion: v1
kind: Secret
metadata: {name: plain}
stringData:
  password: ${CANARY}
data:
  encoded: ${BASE64}
`

// formerCanary is the value before the change, and liveCanary the one that the cluster
// holds.
const (
	formerCanary = "hJ4wN8sK2mQ9xV6tB3yR7pL5"
	liveCanary   = "nW5cZ2fG8dT4kH7vX3jM6qP9"
)

// liveVault is what the cluster of the canary's plans holds: Secrets of the vault, with
// another value, and an object that repeats it.
const liveVault = `
apiVersion: v1
kind: Secret
metadata: {name: stored, annotations: {note: "do not lose ${CANARY}"}}
stringData: {password: "${CANARY}", config: "password: ${CANARY}", only-live: "${CANARY}"}
---
apiVersion: v1
kind: Secret
metadata: {name: plain}
stringData: {password: "${CANARY}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: harmless}
data: {copied: "${CANARY}"}
`

// TestCanary breaks the vault in every way that could make somebody quote it,
// and looks for the canary in all that is printed, of the change alone and of a
// cluster.
func TestCanary(t *testing.T) {
	t.Parallel()
	p := startClusters(t)
	p.Kubectl(t, fill(liveVault, liveCanary), "--context", "cluster-2", "apply", "--server-side", "-f", "-")
	breakages := map[string][2]string{ // what is replaced in the head, by what
		"nothing is broken":             {"", ""},
		"literal without a key":         {"- PASSWORD=${CANARY}", "- ${CANARY}"},
		"generator in another case":     {"secretGenerator:\n- name: literal\n  literals:\n  - PASSWORD=${CANARY}", "SECRETGENERATOR:\n- name: literal\n  LITERALS:\n  - ${CANARY}"},
		"generator by a merge key":      {"secretGenerator:\n- name: literal\n  literals:\n  - PASSWORD=${CANARY}", "<<: {secretGenerator: [{name: literal, literals: ['${CANARY}']}]}\nconfigMapGenerator:\n- name: literal\n  literals:\n  - PASSWORD=x"},
		"literals of a wrong type":      {"  literals:\n  - PASSWORD=${CANARY}", "  literals: ${CANARY}"},
		"a literal that is a mapping":   {"- PASSWORD=${CANARY}", "- {PASSWORD: ${CANARY}}"},
		"env line with a bad key":       {"TOKEN=${CANARY}", "${CANARY} with spaces=x"},
		"env that is no text":           {"TOKEN=${CANARY}", "\xff\xfe=${CANARY}"},
		"generator with a bad field":    {"- name: env", "- name: env\n  secret: ${CANARY}"},
		"generator named by the value":  {"- name: env", "- name: ${CANARY}/x"},
		"inline patch without a target": {"metadata: {name: stored}\n    stringData", "metadata: {name: missing}\n    stringData"},
		"inline patch that is no YAML":  {`stringData: {inline: "${CANARY}"}`, `stringData: {inline: "${CANARY}`},
		"inline patch of a wrong shape": {`stringData: {inline: "${CANARY}"}`, `stringData: ["${CANARY}"]`},
		"JSON patch that does not fit":  {"- op: add", "- op: replace"},
		"JSON patch with a bad op":      {"- op: add", "- op: ${CANARY}"},
		"JSON patch to a path that is":  {"path: /data/json", "path: /data/${CANARY}/x/y"},
		"JSON patch that is no YAML":    {"value: ${BASE64}", "value: ${CANARY}: ["},
		"patch file that is no YAML":    {"  patched: ${CANARY}", "  patched: ${CANARY}\n bad: ["},
		"patch file for nothing":        {"metadata: {name: stored}\nstringData:\n  patched", "metadata: {name: nothing}\nstringData:\n  patched"},
		"patch file of a wrong shape":   {"stringData:\n  patched: ${CANARY}", "stringData:\n- ${CANARY}"},
		"Secret that is no YAML":        {"  password: ${CANARY}\n  config", "  password: \"${CANARY}\n  config"},
		"Secret with a bad escape":      {"  password: ${CANARY}\n  config", "  password: \"\\q${CANARY}\"\n  config"},
		"Secret with an unknown anchor": {"  password: ${CANARY}\n  config", "  password: *${CANARY}\n  config"},
		"Secret with a tab":             {"  password: ${CANARY}\n  config", "\tpassword: ${CANARY}\n  config"},
		"Secret with a value as a key":  {"  password: ${CANARY}\n  config", "  ${CANARY}: a\n  ${CANARY}: b\n  config"},
		"Secret without a name":         {"  name: stored\n", "  nickname: ${CANARY}\n"},
		"Secret whose data is a list":   {"data:\n  encoded: ${BASE64}\nstringData:\n  password: ${CANARY}\n  config", "data:\n- ${CANARY}\nstringData:\n  config"},
		"Secret whose data is a text":   {"data:\n  encoded: ${BASE64}\nstringData:\n  password: ${CANARY}\n  config", "data: ${CANARY}\nstringData:\n  config"},
		"Secret twice":                  {"- secret.yaml", "- secret.yaml\n- secret.yaml"},
		"kustomization with junk":       {"secretGenerator:", "${CANARY}: 1\nsecretGenerator:"},
		"resource named by the value":   {"- secret.yaml", "- ${CANARY}.yaml"},
		"plain Secret that is no YAML":  {"stringData:\n  password: ${CANARY}\ndata", "stringData:\n  password: '${CANARY}\ndata"},
		"plain Secret of a wrong shape": {"stringData:\n  password: ${CANARY}\ndata", "stringData:\n- ${CANARY}\ndata"},
		"plain Secret with a tag":       {"stringData:\n  password: ${CANARY}\ndata", "stringData:\n  password: !!int ${CANARY}\ndata"},
		"plain Secret with a bad value": {"stringData:\n  password: ${CANARY}\ndata", "stringData:\n  password: !!binary ${CANARY}%%\ndata"},
	}
	// What the author wrote as the name of a thing is not a value of a Secret, and
	// a message has to be able to say it.
	named := map[string]bool{
		"resource named by the value": true, "kustomization with junk": true, "Secret with a value as a key": true,
		"JSON patch to a path that is": true, "generator named by the value": true,
	}
	for name, replace := range breakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vault := vault
			if strings.HasPrefix(name, "generator ") {
				// The value is in the generator alone, so that nothing else gives it away.
				vault = strings.ReplaceAll(vault, "${BASE64}", "YWJj")
				kept := strings.Index(vault, "  - PASSWORD=${CANARY}")
				vault = vault[:kept+len("  - PASSWORD=${CANARY}")] + strings.ReplaceAll(vault[kept+len("  - PASSWORD=${CANARY}"):], "${CANARY}", "other")
			}
			if replace[0] != "" && !strings.Contains(vault, replace[0]) {
				t.Fatalf("the vault does not hold %q", replace[0])
			}
			before := fill(vault, formerCanary)
			after := fill(strings.Replace(vault, replace[0], replace[1], 1), canary)
			archive := &txtar.Archive{}
			for side, text := range map[string]string{"base/": before, "head/": after} {
				for _, f := range txtar.Parse([]byte(text)).Files {
					archive.Files = append(archive.Files, txtar.File{Name: side + f.Name, Data: f.Data})
				}
			}
			dir := repositoryOf(t, archive)
			for _, format := range []string{"text", "markdown", "json"} {
				checkPrinted(t, name, named[name], davit(t, "preview", "-C", dir, "--base", "main", "-o", format, "--color", "always"))
			}
			for _, format := range []string{"markdown", "json"} {
				out := davitWith(t, []string{"XDG_STATE_HOME=" + t.TempDir()}, "plan", "-C", dir, "--base", "main",
					"--kubeconfig", p.Kubeconfig, "--context", "cluster-2", "-o", format, "--all")
				checkPrinted(t, name, named[name], out)
				if !strings.Contains(out.stdout, "adopt") {
					t.Errorf("%s: no Secret of the cluster is told of; the test tests nothing:\n%s", name, out.stdout)
				}
			}
		})
	}
}

// checkPrinted looks for canaries in what the program printed. It must have said
// something of a secret; one whose value is a name has said it.
func checkPrinted(t *testing.T, name string, named bool, out result) {
	t.Helper()
	if out.code > 2 {
		t.Fatalf("exit code %d:\n%s", out.code, out.stderr)
	}
	printed := out.stdout + out.stderr
	if !strings.Contains(printed, "secret") && !strings.Contains(strings.ReplaceAll(printed, `\`, ""), "***") {
		t.Errorf("%s: nothing is said of a secret; the test tests nothing:\n%s", name, printed)
	}
	hidden := leaks(liveCanary)
	if !named {
		hidden = append(hidden, append(leaks(canary), leaks(formerCanary)...)...)
	}
	for _, leak := range hidden {
		if strings.Contains(printed, leak) {
			t.Errorf("%s: %q is shown:\n%s", name, leak, printed)
		}
	}
}

func fill(text, secret string) string {
	return strings.NewReplacer("${CANARY}", secret, "${BASE64}", base64.StdEncoding.EncodeToString([]byte(secret))).Replace(strings.TrimPrefix(text, "\n"))
}
