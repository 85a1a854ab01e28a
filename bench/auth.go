package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	authPassword = "bench"
	// turns is how often with and without authentication alternate; the median of the ratios counts.
	turns = 5
	// grantsPerRole keeps a role small: etcd writes all of it for each permission it is given.
	grantsPerRole = 100
)

// grants are the numbers of ranges that a permission is searched among.
var grants = []int{1, 100, space}

// authStore measures what authentication adds to a request, in turns with requests without it.
func authStore(o Options, over string) []Scenario {
	all := []Scenario{fillSmall, {Name: "users and roles", Setup: true, Run: makeUsers}}
	for _, shape := range []struct {
		name                  string
		conns, callers, total int
	}{{"1 client", 1, 1, min(o.Requests, 5_000)}, {"256 clients", 16, 256, o.Requests}} {
		for _, write := range []bool{true, false} {
			all = append(all, Scenario{Name: verb(write) + over + " with authentication, " + shape.name,
				Run: func(s *Server) ([]Figure, error) {
					return authCost(s, write, shape.conns, shape.callers, shape.total/turns)
				}})
		}
	}
	if over == "" {
		all = append(all, Scenario{Name: "get by 1 to 10,000 granted ranges",
			Run: func(s *Server) ([]Figure, error) { return grantCost(s, o.Requests/turns) }})
	}
	return all
}

func verb(write bool) string {
	if write {
		return "put"
	}
	return "get"
}

func userOf(ranges int) string { return fmt.Sprintf("by-%d", ranges) }

// makeUsers makes root and a user for each number of ranges, which together are all keys of the store.
func makeUsers(s *Server) ([]Figure, error) {
	conn := s.Dial()
	defer conn.Close()
	auth, ctx := pb.NewAuthClient(conn), context.Background()
	keys := make([]string, space)
	for n := range keys {
		keys[n] = string(key(n))
	}
	slices.Sort(keys)
	for _, n := range grants {
		if err := makeUser(ctx, auth, n, keys); err != nil {
			return nil, err
		}
	}
	if _, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: authPassword}); err != nil {
		return nil, err
	}
	_, err := auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
	return nil, err
}

// makeUser makes a user of roles that hold n ranges together, which do not touch and so stay n. The roles are
// filled before they are the user's, since etcd works out a user's rights anew with every change of them.
func makeUser(ctx context.Context, auth pb.AuthClient, n int, keys []string) error {
	user := userOf(n)
	var group together
	for first := 0; first < n; first += grantsPerRole {
		group.Go(func() error { return makeRole(ctx, auth, roleOf(n, first), n, first, keys) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if _, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: user, Password: authPassword}); err != nil {
		return err
	}
	for first := 0; first < n; first += grantsPerRole {
		grant := &pb.AuthUserGrantRoleRequest{User: user, Role: roleOf(n, first)}
		if _, err := auth.UserGrantRole(ctx, grant); err != nil {
			return err
		}
	}
	return nil
}

func roleOf(n, first int) string { return fmt.Sprintf("%s-from-%d", userOf(n), first) }

// makeRole grants the ranges from first on, of n that all keys are divided into.
func makeRole(ctx context.Context, auth pb.AuthClient, role string, n, first int, keys []string) error {
	if _, err := auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: role}); err != nil {
		return err
	}
	for at := first; at < min(n, first+grantsPerRole); at++ {
		part := keys[at*len(keys)/n : (at+1)*len(keys)/n]
		grant := &authpb.Permission{PermType: authpb.READWRITE, Key: []byte(part[0]),
			RangeEnd: []byte(part[len(part)-1] + "\x00")}
		if _, err := auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: grant}); err != nil {
			return err
		}
	}
	return nil
}

// together runs functions side by side and keeps the errors.
type together struct {
	sync.WaitGroup
	lock   sync.Mutex
	failed error
}

func (g *together) Go(do func() error) {
	g.WaitGroup.Go(func() {
		err := do()
		g.lock.Lock()
		defer g.lock.Unlock()
		g.failed = errors.Join(g.failed, err)
	})
}

func (g *together) Wait() error {
	g.WaitGroup.Wait()
	return g.failed
}

// login enables authentication if it is not, and gives a context with a user's token.
func login(s *Server, user string) (context.Context, error) {
	conn := s.Dial()
	defer conn.Close()
	auth, ctx := pb.NewAuthClient(conn), context.Background()
	about, err := auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
	if err == nil && !about.Enabled {
		_, err = auth.AuthEnable(ctx, &pb.AuthEnableRequest{})
	}
	if err != nil {
		return nil, err
	}
	reply, err := auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: authPassword})
	if err != nil {
		return nil, err
	}
	return metadata.AppendToOutgoingContext(ctx, "token", reply.Token), nil
}

// disable turns authentication off again.
func disable(s *Server) error {
	ctx, err := login(s, "root")
	if err != nil {
		return err
	}
	conn := s.Dial()
	defer conn.Close()
	_, err = pb.NewAuthClient(conn).AuthDisable(ctx, &pb.AuthDisableRequest{})
	return err
}

// request is one put or get of a key of the small store, in somebody's name.
func request(ctx context.Context, write bool) func(*grpc.ClientConn, int, int) error {
	v := value(256)
	return func(conn *grpc.ClientConn, _, _ int) (err error) {
		if k := key(rand.IntN(space)); write {
			_, err = pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: k, Value: v})
		} else {
			_, err = pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: k})
		}
		return err
	}
}

// repeated is a closed loop's result after a short warming up, on connections of its own.
func repeated(s *Server, ctx context.Context, write bool, conns, callers, total int) (Result, error) {
	clients := Connect(s, conns, callers)
	defer clients.Close()
	if _, err := clients.Run(s, callers*4, request(ctx, write)); err != nil {
		return Result{}, err
	}
	return clients.Run(s, total, request(ctx, write))
}

// perRequest is what a request costs the server, in microseconds.
func (r Result) perRequest() float64 { return float64(r.cpu.Nanoseconds()) / 1000 / float64(r.total) }

// authCost alternates requests without and with authentication and compares what they cost.
func authCost(s *Server, write bool, conns, callers, total int) ([]Figure, error) {
	var without, with, ratio, p50 []float64
	for range turns {
		plain, err := repeated(s, context.Background(), write, conns, callers, total)
		if err != nil {
			return nil, err
		}
		ctx, err := login(s, userOf(grants[0]))
		if err != nil {
			return nil, err
		}
		known, err := repeated(s, ctx, write, conns, callers, total)
		if err != nil {
			return nil, err
		}
		if err := disable(s); err != nil {
			return nil, err
		}
		without, with = append(without, plain.perRequest()), append(with, known.perRequest())
		ratio = append(ratio, known.perRequest()/plain.perRequest())
		p50 = append(p50, float64(percentile(known.latencies, 50))/float64(max(percentile(plain.latencies, 50), time.Nanosecond)))
	}
	return []Figure{
		{"server CPU without", "µs/request", middle(without)},
		{"server CPU with", "µs/request", middle(with)},
		{"CPU with / without", "×", middle(ratio)},
		{"p50 with / without", "×", middle(p50)},
	}, nil
}

// grantCost compares gets of users whose rights are one range, a hundred and ten thousand, in turns.
func grantCost(s *Server, total int) ([]Figure, error) {
	cost := map[int][]float64{}
	var ratio []float64
	for range turns {
		for _, n := range grants {
			ctx, err := login(s, userOf(n))
			if err != nil {
				return nil, err
			}
			result, err := repeated(s, ctx, false, 16, 256, total)
			if err != nil {
				return nil, err
			}
			cost[n] = append(cost[n], result.perRequest())
		}
		last := func(n int) float64 { return cost[n][len(cost[n])-1] }
		ratio = append(ratio, last(space)/last(1))
	}
	var figures []Figure
	for _, n := range grants {
		figures = append(figures, Figure{fmt.Sprintf("server CPU, %d granted", n), "µs/request", middle(cost[n])})
	}
	return append(figures, Figure{"CPU with 10,000 / with 1", "×", middle(ratio)}), disable(s)
}

// middle is the median.
func middle(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
