// Package hosting is the composition root: a process that serves the agents which it was built
// with, in a fleet or alone. A Go host does what a Python host does, so that nobody can tell them
// apart from outside: docs/design/polyglot.md.
package hosting

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// An Agent is what a host may serve: its contract, and what builds whoever keeps it.
type Agent struct {
	service  *grpc.ServiceDesc
	settings func() proto.Message
	build    func(*Scope, proto.Message) (Built, error)
}

// A Built is an agent in one of its lives: who answers its calls, and what ends it. Close runs when
// none of its calls is in progress any more.
type Built struct {
	Servicer any
	Close    func() error
}

// Declare says what keeps a contract. `build` is given the settings of each instance, those of the
// plan over an empty message, which the rules on its fields have passed.
func Declare[S proto.Message](service *grpc.ServiceDesc, build func(*Scope, S) (Built, error)) Agent {
	var none S
	return Agent{
		service:  service,
		settings: func() proto.Message { return none.ProtoReflect().New().Interface() },
		build: func(scope *Scope, settings proto.Message) (Built, error) {
			found, ok := settings.(S)
			if !ok {
				return Built{}, fmt.Errorf("%s takes other settings than %T", scope.Name, settings)
			}
			return build(scope, found)
		},
	}
}

// A Scope is what an agent is given for one of its lives.
type Scope struct {
	// Name of the instance, such as `polyglot-file-digest`.
	Name string
	// Folder in which it keeps what shall outlive it; for its user alone.
	Folder string
	Log    *slog.Logger
	// Context ends with this life.
	Context context.Context

	feels func(error)
}

// Feels says how the agent is: nil while it is well, and else why it does not serve, until it is
// said otherwise. What watches its own parts tells each change; nobody is asked for nothing.
func (s *Scope) Feels(cause error) { s.feels(cause) }

var (
	serviceForm  = regexp.MustCompile(`^tandem\.([a-z][a-z0-9]*)\.v[0-9]+\.([A-Z][A-Za-z0-9]*)Service$`)
	instanceForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	// A run of capitals in front of a word, or a word.
	wordForm = regexp.MustCompile(`^(?:([A-Z]+)[A-Z][a-z]|[A-Z][a-z0-9]*)`)
)

// shortName of a contract: `polyglot-file-digest` of `tandem.polyglot.v1.FileDigestService`.
func shortName(service string) (string, error) {
	found := serviceForm.FindStringSubmatch(service)
	if found == nil {
		return "", fmt.Errorf("%s is no name of the form tandem.<family>.v<n>.<Agent>Service", service)
	}
	name := found[1]
	for rest := found[2]; rest != ""; {
		word := wordForm.FindStringSubmatch(rest)
		taken := cmp.Or(word[1], word[0])
		name += "-" + strings.ToLower(taken)
		rest = rest[len(taken):]
	}
	return name, nil
}
