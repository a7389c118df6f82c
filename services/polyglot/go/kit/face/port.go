package face

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	headBytesMax   = 8192
	answeredWithin = 5 * time.Second
	connectionsMax = 32
)

// Serve answers on the listener until the context ends. `names` are those of this host besides the
// loopback ones and the address that it listens on: any web page can reach a loopback port, so only
// requests that name this host by one of its own names are answered, and none of another origin.
func Serve(ctx context.Context, listener net.Listener, known *Known, names ...string) error {
	guard := guarded{known, map[string]bool{"localhost": true}}
	for _, name := range append(names, hostOf(listener.Addr().String())) {
		guard.names[strings.ToLower(name)] = name != ""
	}
	server := &http.Server{
		Handler: guard, MaxHeaderBytes: headBytesMax, ReadHeaderTimeout: answeredWithin,
		ReadTimeout: answeredWithin, WriteTimeout: answeredWithin,
	}
	server.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(few{listener, make(chan struct{}, connectionsMax)})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]")
	}
	return host
}

type guarded struct {
	known *Known
	names map[string]bool
}

func (g guarded) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	header := out.Header()
	header.Set("Allow", "GET, HEAD")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	found := g.answer(request)
	header.Set("Content-Type", found.media)
	header.Set("Content-Length", fmt.Sprint(len(found.body)))
	out.WriteHeader(found.status)
	if request.Method != http.MethodHead {
		_, _ = out.Write([]byte(found.body)) // who hangs up has no answer
	}
}

func (g guarded) answer(request *http.Request) answer {
	switch {
	case !g.isOwn(request.Host):
		return refused(http.StatusMisdirectedRequest)
	case len(request.Header.Values("Origin")) > 0:
		return refused(http.StatusForbidden)
	case request.Method != http.MethodGet && request.Method != http.MethodHead:
		return refused(http.StatusMethodNotAllowed)
	}
	return g.known.page(request.URL.Path, request.Header.Get("Accept"))
}

func (g guarded) isOwn(named string) bool {
	host := strings.ToLower(hostOf(named))
	if g.names[host] {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func refused(status int) answer {
	return answer{status, "text/plain; charset=utf-8", fmt.Sprintf("%d %s\n", status, http.StatusText(status))}
}

// few lets only so many callers in; more than those do not wait.
type few struct {
	net.Listener
	room chan struct{}
}

func (f few) Accept() (net.Conn, error) {
	for {
		connection, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case f.room <- struct{}{}:
			return &counted{Conn: connection, leave: sync.OnceFunc(func() { <-f.room })}, nil
		default:
			_ = connection.Close()
		}
	}
}

type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
