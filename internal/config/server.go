package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/settings"
)

// Server is how "davit serve" runs. Every field of it is one text, which the
// environment and flags can replace.
type Server struct {
	Webhook  string        // address that forges deliver to
	Admin    string        // address of health, readiness and metrics; not for the world
	Database string        // path of a SQLite database, or address of a PostgreSQL one, which may hold a password
	Data     string        // directory of mirrors and of the key
	Sweep    time.Duration // how often lost deliveries are asked for
}

// defaults are the settings of a file that says nothing.
func defaults() Server {
	return Server{Webhook: "127.0.0.1:8080", Admin: "127.0.0.1:9090", Data: "/var/lib/davit", Sweep: 2 * time.Minute}
}

// DatabaseAddress is where the database is: in a file of the data directory, if nothing
// says otherwise. It may hold a password.
func (s Server) DatabaseAddress() string {
	if s.Database == "" {
		return filepath.Join(s.Data, "davit.db")
	}
	return s.Database
}

// How the addresses of databases begin.
const sqlite = "sqlite://"

var postgres = []string{"postgres://", "postgresql://"}

// DatabaseName is the database in words for a log: without a password.
func (s Server) DatabaseName() string {
	if address := s.DatabaseAddress(); !isPostgres(address) {
		return address
	}
	return "PostgreSQL"
}

// DatabaseDir is the directory of a database that is a file; it is empty for others.
func (s Server) DatabaseDir() string {
	if address := s.DatabaseAddress(); !isPostgres(address) {
		return filepath.Dir(address)
	}
	return ""
}

func isPostgres(address string) bool {
	return slices.ContainsFunc(postgres, func(prefix string) bool { return strings.HasPrefix(address, prefix) })
}

// Limits on how often the forges are asked for lost deliveries. Each time an hour is
// looked back.
const (
	minSweep = time.Second
	maxSweep = 30 * time.Minute
)

// setting takes a text into a Server, or says what it must be. Relative paths are
// relative to a directory.
type setting func(s *Server, text, directory string) (must string)

// settingsByKey are the settings of a Server as the file spells them; a dot is a field in
// a field.
var settingsByKey = map[string]setting{
	"listen.webhook": func(s *Server, text, _ string) string { return address(&s.Webhook, text) },
	"listen.admin":   func(s *Server, text, _ string) string { return address(&s.Admin, text) },
	"data_dir": func(s *Server, text, directory string) string {
		s.Data = within(directory, text)
		return ""
	},
	"database": func(s *Server, text, directory string) string {
		if isPostgres(text) {
			s.Database = text
			return ""
		}
		path, is := strings.CutPrefix(text, sqlite)
		if !is || path == "" {
			return "the address of a database, for example sqlite:///var/lib/davit/davit.db or postgres://davit@db.acme.example/davit"
		}
		s.Database = within(directory, path)
		return ""
	},
	"sweep": func(s *Server, text, _ string) string {
		every, err := time.ParseDuration(text)
		if err != nil || every < minSweep || every > maxSweep {
			return fmt.Sprintf("a duration from %s to %s, for example 2m", minSweep, maxSweep)
		}
		s.Sweep = every
		return ""
	},
}

func address(into *string, text string) string {
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" || strings.ContainsAny(host, " /") {
		return "an address with a port, for example 127.0.0.1:8080"
	}
	*into = text
	return ""
}

// site takes the address of a web site without a slash at its end.
func site(into *string, text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "the address of a web site, for example https://github.acme.example"
	}
	*into = strings.TrimRight(text, "/")
	return ""
}

func within(directory, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(directory, path)
}

// Set replaces a setting, named as in the file with dots: listen.admin. Relative paths
// are relative to where Davit runs.
func (s *Server) Set(key, text string) error {
	set, known := settingsByKey[key]
	if !known {
		names := slices.Sorted(maps.Keys(settingsByKey))
		return fmt.Errorf("there is no setting %q; %s", key, settings.Suggest(key, names, "there are: "+strings.Join(names, ", ")))
	}
	if must := set(s, text, ""); must != "" {
		return fmt.Errorf("%s must be %s", key, must)
	}
	return nil
}

// Environment replaces the settings that the environment has: DAVIT_LISTEN_ADMIN is
// listen.admin.
func (s *Server) Environment(get func(name string) string) error {
	for _, key := range slices.Sorted(maps.Keys(settingsByKey)) {
		name := "DAVIT_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if text := get(name); text != "" {
			if err := s.Set(key, text); err != nil {
				return fmt.Errorf("read %s from the environment: %w", name, err)
			}
		}
	}
	return nil
}

// field returns what reads a setting's node in the file.
func (s *Server) field(r *settings.Reader, key, directory string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value == "" || n.ShortTag() == "!!null" {
			r.Fault(n, "%s must be a text that is not empty", key)
		} else if must := settingsByKey[key](s, n.Value, directory); must != "" {
			r.Fault(n, "%s must be %s", key, must)
		}
	}
}

func (s *Server) listen(r *settings.Reader, directory string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.Fields(n, "listen", "webhook: 127.0.0.1:8080", settings.Fields{
			"webhook": s.field(r, "listen.webhook", directory),
			"admin":   s.field(r, "listen.admin", directory),
		})
	}
}
