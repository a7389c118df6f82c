package serve

import (
	"fmt"
	"net"
	"sort"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionrpc "google.golang.org/grpc/reflection/grpc_reflection_v1"
	oldreflectionrpc "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"tandem/polyglot/kit/token"
	"tandem/polyglot/kit/trace"
)

// A Server is the gRPC server of a host: agents mounted on it, health, reflection, and an orderly
// end.
type Server struct {
	Health *Health

	token    *token.Token
	report   *report
	grpc     *grpc.Server
	draining chan struct{}
	stations map[string]*station
	plumbing []*station
}

// New makes one. Whoever calls has to show `known`, but for what is public; nil lets everybody in.
// All services of the program are registered now, as gRPC takes none later; whether this host
// serves them says who sits there.
func New(known *token.Token, tracing trace.Tracing, services []*grpc.ServiceDesc) (*Server, error) {
	made := &Server{
		Health: newHealth(), token: known, report: &report{tracing: tracing},
		draining: make(chan struct{}), stations: map[string]*station{},
	}
	made.grpc = grpc.NewServer(
		// A client may ping a quiet connection as often as the mesh's keepalive does.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(made.unknown),
		grpc.ForceServerCodecV2(newPatient()),
	)
	for _, service := range services {
		if err := made.register(service); err != nil {
			return nil, err
		}
	}
	made.registerPackages()
	return made, nil
}

// Plumb adds a contract of ours that is no agent: the host itself answers it.
func (s *Server) Plumb(service *grpc.ServiceDesc, servicer any) error {
	counted := s.report.tallies
	if err := s.register(service); err != nil {
		return err
	}
	s.report.tallies = counted
	one := s.stations[service.ServiceName]
	delete(s.stations, service.ServiceName)
	s.plumbing = append(s.plumbing, one)
	one.mount("", false).Take(servicer)
	return nil
}

// Mount gives an instance its seat, which refuses calls until somebody takes it. One that is added
// answers only where a call says its name.
func (s *Server) Mount(service, instance string, added bool) (*Seat, error) {
	found := s.stations[service]
	if found == nil {
		return nil, fmt.Errorf("the program has no agent that keeps %s", service)
	}
	return found.mount(instance, added), nil
}

// Unmount takes the seat of an instance away.
func (s *Server) Unmount(service, instance string) {
	if found := s.stations[service]; found != nil {
		found.unmount(instance)
	}
}

// Tallies are those of all methods that this host serves, in the order of their names.
func (s *Server) Tallies() []*Tally {
	var found []*Tally
	for _, one := range s.report.tallies {
		if s.stations[one.Service()].isServed() {
			found = append(found, one)
		}
	}
	sort.Slice(found, func(one, other int) bool { return found[one].Method < found[other].Method })
	return found
}

// Limit sets how many calls of one method in progress policy lets in, by service.
func (s *Server) Limit(callsMax map[string]int) {
	for service, one := range s.stations {
		one.limit(callsMax[service])
	}
}

// Serve answers on the listener until the server has drained.
func (s *Server) Serve(listener net.Listener) error { return s.grpc.Serve(listener) }

// Drain says NOT_SERVING, takes no new calls, lets those in progress finish for `grace`, then ends
// them. `ending` is told before anything ends.
func (s *Server) Drain(grace time.Duration, ending func()) {
	s.Health.Drain()
	ending()
	close(s.draining)
	for _, one := range s.stations {
		one.drain()
	}
	late := time.AfterFunc(grace, s.grpc.Stop)
	defer late.Stop()
	s.grpc.GracefulStop()
}

func (s *Server) register(service *grpc.ServiceDesc) error {
	contract, err := Described(service.ServiceName)
	if err != nil {
		return err
	}
	made := &station{service: service.ServiceName, kind: service.HandlerType, methods: methodsOf(contract)}
	ours := &grpc.ServiceDesc{
		ServiceName: service.ServiceName, HandlerType: (*any)(nil), Metadata: service.Metadata,
	}
	for _, method := range service.Methods {
		through := s.door(made, method.MethodName)
		ours.Methods = append(ours.Methods, grpc.MethodDesc{MethodName: method.MethodName, Handler: through.unary(method.Handler)})
	}
	for _, stream := range service.Streams {
		through := s.door(made, stream.StreamName)
		stream.Handler = through.stream(stream.Handler)
		ours.Streams = append(ours.Streams, stream)
	}
	s.stations[service.ServiceName] = made
	s.grpc.RegisterService(ours, made)
	return nil
}

func (s *Server) door(at *station, name string) *door {
	method := at.methods[name]
	tally := newTally(method.Path)
	s.report.tallies = append(s.report.tallies, tally)
	return &door{at, name, method, tally, s.token, s.report}
}

// registerPackages adds what gRPC's own packages serve, which is public.
func (s *Server) registerPackages() {
	s.grpc.RegisterService(&healthrpc.Health_ServiceDesc, s.Health)
	described := reflection.ServerOptions{Services: s}
	s.grpc.RegisterService(s.ended(reflectionrpc.ServerReflection_ServiceDesc), reflection.NewServerV1(described))
	s.grpc.RegisterService(s.ended(oldreflectionrpc.ServerReflection_ServiceDesc), reflection.NewServer(described))
}

// ended is the service with streams that end when the server drains.
func (s *Server) ended(service grpc.ServiceDesc) *grpc.ServiceDesc {
	streams := make([]grpc.StreamDesc, 0, len(service.Streams))
	for _, one := range service.Streams {
		serve := one.Handler
		one.Handler = func(servicer any, wire grpc.ServerStream) error {
			over := make(chan error, 1)
			go func() { over <- serve(servicer, wire) }()
			select {
			case err := <-over:
				return err
			case <-s.draining:
				return nil
			}
		}
		streams = append(streams, one)
	}
	service.Streams = streams
	return &service
}

// GetServiceInfo is what reflection lists: what this host serves, and not what its program could.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo {
	found := s.grpc.GetServiceInfo()
	for name, one := range s.stations {
		if !one.isServed() {
			delete(found, name)
		}
	}
	for _, one := range s.plumbing {
		delete(found, one.service)
	}
	return found
}

// unknown ends a call of what nobody here serves.
func (s *Server) unknown(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	told, _ := metadata.FromIncomingContext(stream.Context())
	if err := admit(s.token, &Method{Path: path[:min(len(path), 200)]}, told, peerOf(stream.Context())); err != nil {
		return err
	}
	// It did, or will, and others do; UNIMPLEMENTED would say that nobody ever does.
	if len(told.Get(InstanceHeader)) > 0 {
		return Restarting()
	}
	return status.Errorf(codes.Unimplemented, "nobody here serves %s", strings.TrimPrefix(path, "/"))
}
