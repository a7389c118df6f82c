package hosting

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"tandem/polyglot/kit/serve"
	control "tandem/polyglot/stubs/tandem/control/v1"
	plans "tandem/polyglot/stubs/tandem/fleet/v1"
)

const (
	leaseDefault  = 3 * time.Second
	leaseMin      = time.Second
	leaseMax      = time.Minute
	graceDefault  = 10.0
	sampleDefault = 0.01
)

// options are those of every host, in whichever language: the machine's supervisor writes them.
type options struct {
	listen, socket, http, pulse, state, tokenFile, profile, stateStore, secrets string
	control, machine, group, hostName, version, advertise, credential           string
	cgroups, cores                                                              string
	open                                                                        bool
	graceS, share, leaseS, cpusMax                                              float64
	memoryMiBMax                                                                int64
}

// read `PLAN OPTIONS...`: the file holds one PlannedHost.
func read(arguments []string) (*options, *plans.PlannedHost, error) {
	if len(arguments) == 0 {
		return nil, nil, errors.New("the first argument is a file that holds a PlannedHost")
	}
	said, flags := flagged()
	if err := flags.Parse(arguments[1:]); err != nil {
		return nil, nil, errors.New(strings.ReplaceAll(err.Error(), " -", " --"))
	}
	if flags.NArg() > 0 {
		return nil, nil, fmt.Errorf("nothing is called %q", flags.Arg(0))
	}
	if !(said.share >= 0 && said.share <= 1) || !(said.cpusMax >= 0) || said.memoryMiBMax < 0 {
		return nil, nil, errors.New("--trace-share is from 0 to 1, and --cpus-max and --memory-mib-max are not below 0")
	}
	content, err := os.ReadFile(arguments[0])
	if err != nil {
		return nil, nil, err
	}
	plan := &plans.PlannedHost{}
	if err := proto.Unmarshal(content, plan); err != nil {
		return nil, nil, fmt.Errorf("%s holds no PlannedHost: %w", arguments[0], err)
	}
	return said, plan, nil
}

func flagged() (*options, *flag.FlagSet) {
	said, home := &options{}, homeFolder()
	flags := flag.NewFlagSet("host", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for name, text := range map[string]struct {
		place             *string
		fallback, meaning string
	}{
		"listen":        {&said.listen, "127.0.0.1:0", "host:port or unix:/path; port 0 takes a free one"},
		"socket":        {&said.socket, "", "unix socket to listen on besides, for its owner alone"},
		"http":          {&said.http, "", "host:port that answers GET /health and /metrics"},
		"pulse":         {&said.pulse, "", "file in which the machine's supervisor feels whether this process lives"},
		"state":         {&said.state, filepath.Join(home, "state"), "folder in which agents keep their state"},
		"token-file":    {&said.tokenFile, filepath.Join(home, "token"), "holds the token that callers show; made if it is absent"},
		"profile":       {&said.profile, "", "name of the profile that the fleet runs"},
		"secrets":       {&said.secrets, "", "folder with the secrets of this host's agents; accepted, for no Go agent takes one"},
		"state-store":   {&said.stateStore, "", "accepted; Go agents keep their state in files below --state"},
		"control":       {&said.control, "", "controls to announce this host at, separated by commas, the nearest first"},
		"machine":       {&said.machine, "", "name of the machine; by default its hostname"},
		"group":         {&said.group, "", "hosts of one group serve the same agents"},
		"host-name":     {&said.hostName, "", "unique in the fleet; by default MACHINE-GROUP"},
		"version-label": {&said.version, "", "by which traffic is weighed"},
		"advertise":     {&said.advertise, "", "address for callers; by default that of --listen"},
		"credential":    {&said.credential, "", "file of ./tandem token host; by default hosts.key beside the token"},
		"cgroups":       {&said.cgroups, "/sys/fs/cgroup", "where control groups are mounted; empty: use none"},
		"cpu-cores":     {&said.cores, "", "cores to run on, as 0,2,3; by default all"},
	} {
		flags.StringVar(text.place, name, text.fallback, text.meaning)
	}
	flags.BoolVar(&said.open, "open", false, "let everybody in who reaches the port")
	flags.Float64Var(&said.graceS, "grace-s", graceDefault, "how long calls in progress may finish after SIGTERM")
	flags.Float64Var(&said.share, "trace-share", shareDefault(), "share of the calls without a trace that begin a sampled one")
	flags.Float64Var(&said.leaseS, "lease-s", leaseDefault.Seconds(), "how long the host stays in the fleet without a word")
	flags.Float64Var(&said.cpusMax, "cpus-max", 0, "most CPU time, in cores")
	flags.Int64Var(&said.memoryMiBMax, "memory-mib-max", 0, "most memory of the process")
	return said, flags
}

// homeFolder is where agents' state is kept across runs, by the same variables as everywhere.
func homeFolder() string {
	if home := os.Getenv("TANDEM_HOME"); filepath.IsAbs(home) {
		return home
	}
	if states := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(states) {
		return filepath.Join(states, "tandem")
	}
	user, _ := os.UserHomeDir()
	return filepath.Join(user, ".local", "state", "tandem")
}

func shareDefault() float64 {
	if collector() != "" {
		return sampleDefault
	}
	return 0
}

// membership is the host as it is announced, without its port and placements; nil where no control
// was named.
func (o *options) membership(agents []string) (*control.Host, error) {
	if o.control == "" {
		return nil, nil
	}
	machine := o.machine
	if machine == "" {
		machine = machineName()
	}
	group := o.group
	if group == "" {
		group = label(append(agents, "polyglot")[0])
	}
	name := o.hostName
	if name == "" {
		name = label(machine + "-" + group)
	}
	address, err := o.addressForCallers()
	if err != nil {
		return nil, err
	}
	// The port stands in for the one that the kernel may yet have to choose.
	host := &control.Host{Name: "hosts/" + name, Machine: machine, Group: group, Address: address, Version: o.version, Port: 1}
	return host, o.checked(host)
}

func (o *options) checked(host *control.Host) error {
	broken, err := serve.Violations(host)
	if err != nil {
		return err
	}
	for _, one := range broken {
		return fmt.Errorf("host.%s: %s", one.Field, one.Description)
	}
	controls := strings.Split(o.control, ",")
	slices.Sort(controls)
	if slices.Contains(controls, "") || len(slices.Compact(controls)) < len(strings.Split(o.control, ",")) {
		return errors.New("--control names each control once, separated by commas")
	}
	if lease := o.lease(); lease < leaseMin || lease > leaseMax {
		return fmt.Errorf("--lease-s is from %g to %g", leaseMin.Seconds(), leaseMax.Seconds())
	}
	return nil
}

func (o *options) lease() time.Duration { return time.Duration(o.leaseS * float64(time.Second)) }

func (o *options) grace() time.Duration { return time.Duration(o.graceS * float64(time.Second)) }

func (o *options) addressForCallers() (string, error) {
	if o.advertise != "" {
		return o.advertise, nil
	}
	if strings.HasPrefix(o.listen, "unix:") {
		return "", errors.New("a host on a unix socket cannot be announced; --listen on host:port")
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return "", fmt.Errorf("--listen: %w", err)
	}
	if address, err := netip.ParseAddr(host); host == "" || (err == nil && address.IsUnspecified()) {
		return "", fmt.Errorf("%s is no address for callers; --advertise one", o.listen)
	}
	return host, nil
}

func (o *options) coreNumbers() ([]int, error) {
	var found []int
	for text := range strings.SplitSeq(o.cores, ",") {
		if text == "" {
			continue
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < 0 {
			return nil, fmt.Errorf("--cpu-cores are numbers separated by commas, not %q", o.cores)
		}
		found = append(found, number)
	}
	return found, nil
}

func machineName() string {
	name, _ := os.Hostname()
	return label(name)
}

var noLabel = regexp.MustCompile(`[^a-z0-9]+`)

// label is the text as a name may be written; a machine's own may hold dots and capitals.
func label(text string) string {
	made := strings.Trim(noLabel.ReplaceAllString(strings.ToLower(text), "-"), "-")
	return strings.Trim(made[:min(len(made), 63)], "-")
}

// settingsOf an instance: what the plan says, over an empty message, by the rules on its fields.
func settingsOf(agent Agent, planned *plans.PlannedAgent) (proto.Message, error) {
	settings := agent.settings()
	if said := planned.GetSettings(); said != nil {
		if err := said.UnmarshalTo(settings); err != nil {
			return nil, fmt.Errorf("%s is planned with %s, and takes %s", planned.GetName(),
				said.MessageName(), settings.ProtoReflect().Descriptor().FullName())
		}
	}
	broken, err := serve.Violations(settings)
	if err != nil {
		return nil, err
	}
	for _, one := range broken {
		told, _ := json.Marshal(one.Field)
		return nil, fmt.Errorf("%s: settings %s: %s", planned.GetName(), told, one.Description)
	}
	return settings, nil
}
