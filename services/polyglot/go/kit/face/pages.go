package face

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"tandem/polyglot/kit/serve"
)

const (
	servingState  = "SERVING"
	drainingState = "DRAINING"
)

// An Agent is one of the host's, as the pages show it.
type Agent struct {
	Name, Service, State, Cause string
	Added                       bool
	Restarts                    int
}

// An Identity is who answers: the host's name in its fleet, if it has one, the version that traffic
// is weighed by, and the limits of the process, in words.
type Identity struct {
	Host, Machine, Version string
	Limits                 []string
}

// Known is what there is to tell; it is looked up when it is asked for.
type Known struct {
	Identity Identity
	Agents   func() []Agent
	Tallies  func() []*serve.Tally
	Draining func() bool
	Began    time.Time
}

type agentPage struct {
	Name       string  `json:"name"`
	Service    string  `json:"service"`
	Status     string  `json:"status"`
	Cause      *string `json:"cause"`
	Calls      int64   `json:"calls"`
	CallsS     float64 `json:"calls_s"`
	WorkersCPU float64 `json:"workers_cpu_s"`
}

type hostPage struct {
	Status      string      `json:"status"`
	Agents      []agentPage `json:"agents"`
	Version     string      `json:"version"`
	UptimeS     float64     `json:"uptime_s"`
	MemoryBytes int64       `json:"memory_bytes"`
	CPUS        float64     `json:"cpu_s"`
	Host        string      `json:"host"`
	Machine     string      `json:"machine"`
	Limits      []string    `json:"limits"`
}

type nowherePage struct {
	Error string   `json:"error"`
	Pages []string `json:"pages"`
}

// answer is a page as it goes out.
type answer struct {
	status int
	media  string
	body   string
}

func (k *Known) page(path, accept string) answer {
	agents := k.Agents()
	switch name := strings.TrimPrefix(path, "/health/"); {
	case path == "/metrics":
		media := mediaType(accept)
		families := append(callFamilies(k.Tallies()), agentFamilies(agents)...)
		return answer{http.StatusOK, media, textOf(append(families, processFamilies(UsageNow())...), media)}
	case path == "/health" || path == "/health/":
		return k.health(agents)
	default:
		for _, one := range agents {
			if name == one.Name && name != path {
				return said(k.agent(one), one.State == servingState)
			}
		}
	}
	return nowhere(agents)
}

func (k *Known) health(agents []Agent) answer {
	usage, serves := UsageNow(), true
	page := hostPage{
		Status: servingState, Agents: []agentPage{}, Version: k.Identity.Version,
		UptimeS: time.Since(k.Began).Round(time.Millisecond).Seconds(), MemoryBytes: usage.MemoryBytes,
		CPUS: usage.CPU.Round(time.Millisecond).Seconds(), Host: k.Identity.Host,
		Machine: k.Identity.Machine, Limits: append([]string{}, k.Identity.Limits...),
	}
	for _, one := range agents {
		page.Agents = append(page.Agents, k.agent(one))
		serves = serves && (one.Added || one.State == servingState)
	}
	switch {
	case k.Draining():
		page.Status, serves = drainingState, false
	case !serves:
		page.Status = "NOT_SERVING"
	}
	return said(page, serves)
}

func (k *Known) agent(one Agent) agentPage {
	made := agentPage{Name: one.Name, Service: one.Service, Status: one.State}
	if one.State != servingState {
		made.Cause = &one.Cause
	}
	for _, tally := range k.Tallies() {
		if tally.Service() == one.Service {
			count, ended := tally.Counted()
			made.Calls += count
			for _, durations := range ended {
				made.CallsS += durations.SumS
			}
		}
	}
	return made
}

func agentFamilies(agents []Agent) []family {
	up := family{"tandem_agent_up", gauge, "1 where the agent serves, else 0.", nil}
	restarts := family{"tandem_agent_restarts", counter, "How often the agent was built again.", nil}
	for _, one := range agents {
		labels := []string{"agent", one.Name, "service", one.Service}
		serving := 0.0
		if one.State == servingState {
			serving = 1
		}
		up.samples = append(up.samples, sample{"", labels, serving})
		restarts.samples = append(restarts.samples, sample{"", labels, float64(one.Restarts)})
	}
	return []family{up, restarts}
}

func nowhere(agents []Agent) answer {
	pages := []string{"/health"}
	for _, one := range agents {
		pages = append(pages, "/health/"+one.Name)
	}
	body, _ := json.Marshal(nowherePage{"there is no such page", append(pages, "/metrics")})
	return answer{http.StatusNotFound, "application/json", string(body) + "\n"}
}

func said(page any, serves bool) answer {
	body, _ := json.Marshal(page) // of strings and numbers alone
	if serves {
		return answer{http.StatusOK, "application/json", string(body) + "\n"}
	}
	return answer{http.StatusServiceUnavailable, "application/json", string(body) + "\n"}
}
