package hosting

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	plans "tandem/polyglot/stubs/tandem/fleet/v1"
)

// Every name of an agent follows from its contract's.
func TestShortNames(t *testing.T) {
	for service, wanted := range map[string]string{
		"tandem.polyglot.v1.FileDigestService": "polyglot-file-digest", "tandem.text.v1.HTMLTextService": "text-html-text",
		"tandem.utility.v1.FilesService": "utility-files", "tandem.a.v2.B2Service": "a-b2",
	} {
		if found, err := shortName(service); err != nil || found != wanted {
			t.Error(service, found, err)
		}
	}
	for _, none := range []string{"", "tandem.a.v1.Text", "other.a.v1.TextService"} {
		if found, err := shortName(none); err == nil {
			t.Error(none, found)
		}
	}
}

func planned(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.binpb")
	wire, err := proto.Marshal(&plans.PlannedHost{Name: "go"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, wire, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What cannot be taken is named as it was written.
func TestOptionsThatCannotBeTaken(t *testing.T) {
	path := planned(t)
	for _, arguments := range [][]string{
		{"--listen"}, {"--no-such-option", "1"}, {"--grace-s", "soon"}, {"--trace-share", "2"}, {"--memory-mib-max", "-1"},
	} {
		if _, _, err := read(append([]string{path}, arguments...)); err == nil || !strings.Contains(err.Error(), arguments[0]) {
			t.Error(arguments, err)
		}
	}
	for _, arguments := range [][]string{{}, {"/nowhere"}, {path, "more"}} {
		if _, _, err := read(arguments); err == nil {
			t.Error(arguments)
		}
	}
}

// A host is announced at an address that callers reach, once at each control.
func TestMembership(t *testing.T) {
	path := planned(t)
	member := func(arguments ...string) error {
		said, _, err := read(append([]string{path, "--machine", "m", "--group", "g"}, arguments...))
		if err != nil {
			t.Fatal(err)
		}
		_, err = said.membership(nil)
		return err
	}
	good := []string{"--control", "a:1,b:1", "--listen", "127.0.0.1:0"}
	if err := member(good...); err != nil {
		t.Error(err)
	}
	for _, more := range [][]string{
		{"--listen", "0.0.0.0:1"}, {"--listen", "unix:/a"}, {"--control", "a:1,a:1"}, {"--control", "a:1,"},
		{"--lease-s", "0.5"}, {"--machine", "A Machine"}, {"--version-label", "V 1"},
	} {
		if err := member(append(good, more...)...); err == nil {
			t.Error(more)
		}
	}
	if err := member(append(good, "--listen", "0.0.0.0:1", "--advertise", "pc2.example")...); err != nil {
		t.Error(err)
	}
}

// A machine's name may hold what names of hosts may not.
func TestLabels(t *testing.T) {
	for text, wanted := range map[string]string{"My.Laptop": "my-laptop", "--a--": "a", strings.Repeat("x", 70): strings.Repeat("x", 63)} {
		if found := label(text); found != wanted {
			t.Error(text, found)
		}
	}
}
