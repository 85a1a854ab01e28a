package main

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// callers are those who ask, by number: a step's As. 0 has no token, strangerCaller a wrong one.
var callers = []string{"", "root", "alice", "bob", "carol", "nopw"}

const (
	rootCaller     = 1
	strangerCaller = 9
)

func callerOf(name string) int {
	for number, each := range callers {
		if each == name && number > 0 {
			return number
		}
	}
	return 0
}

var roles = []string{"root", "r1", "r2", "r3"}

func authStep(method string, request proto.Message) Step {
	return ask("Auth/"+method, request)
}

// authPrologue makes root, three users with passwords, one without, and three roles with
// overlapping permissions, then turns authentication on.
func (g *generator) authPrologue() []Step {
	steps := []Step{
		authStep("UserAdd", &pb.AuthUserAddRequest{Name: "root", Password: "p1"}),
		authStep("RoleAdd", &pb.AuthRoleAddRequest{Name: "root"}),
		authStep("UserGrantRole", &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}),
	}
	for number, role := range roles[1:] {
		steps = append(steps, authStep("RoleAdd", &pb.AuthRoleAddRequest{Name: role}))
		for range 2 + number {
			steps = append(steps, authStep("RoleGrantPermission",
				&pb.AuthRoleGrantPermissionRequest{Name: role, Perm: g.permission()}))
		}
	}
	for number, user := range callers[2:] {
		steps = append(steps, authStep("UserAdd", &pb.AuthUserAddRequest{Name: user, Password: "p1",
			Options: &authpb.UserAddOptions{NoPassword: user == "nopw"}}))
		for i := range 1 + number%2 {
			steps = append(steps, authStep("UserGrantRole",
				&pb.AuthUserGrantRoleRequest{User: user, Role: roles[1+(number+i)%3]}))
		}
	}
	return append(steps, g.enableAuth()...)
}

// enableAuth gives root what it may have lost, enables, and gives everyone a token.
func (g *generator) enableAuth() []Step {
	steps := []Step{
		authStep("UserAdd", &pb.AuthUserAddRequest{Name: "root", Password: "p1"}),
		authStep("RoleAdd", &pb.AuthRoleAddRequest{Name: "root"}),
		authStep("UserGrantRole", &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}),
		authStep("AuthEnable", &pb.AuthEnableRequest{}),
	}
	for number := rootCaller; number < len(callers); number++ {
		steps = append(steps, g.authenticate(number))
	}
	return steps
}

// authenticate asks with the password that etcd has taken last.
func (g *generator) authenticate(caller int) Step {
	name := callers[caller]
	password, known := g.pair.passwords[name]
	if !known {
		password = "p1"
	}
	return authStep("Authenticate", &pb.AuthenticateRequest{Name: name, Password: password})
}

// grant gives a role one permission more, or none again: Go sorts more than eleven by a way that
// does not keep those of one key in their order, and then etcd's own replies follow from it.
func (g *generator) grant(role string) Step {
	if g.pair.grants[role] >= 11 {
		return authStep("RoleDelete", &pb.AuthRoleDeleteRequest{Role: role})
	}
	return authStep("RoleGrantPermission",
		&pb.AuthRoleGrantPermissionRequest{Name: role, Perm: g.permission()})
}

func (g *generator) permission() *authpb.Permission {
	if g.chance(2) {
		return nil
	}
	key := g.key()
	perm := &authpb.Permission{PermType: authpb.Permission_Type(g.IntN(3)), Key: key,
		RangeEnd: g.anyRangeEnd(key)}
	if g.chance(15) {
		perm.Key, perm.RangeEnd = []byte(pick(g, "a", "b", "\x00")), []byte{0}
	}
	if g.chance(1) {
		perm.PermType = 3
	}
	return perm
}

func (g *generator) user() string {
	if g.chance(4) {
		return pick(g, "", "nobody", "dave")
	}
	return pick(g, "root", "alice", "alice", "bob", "bob", "carol", "carol", "nopw")
}

func (g *generator) role() string {
	if g.chance(4) {
		return pick(g, "", "none", "r4")
	}
	return pick(g, "root", "r1", "r1", "r2", "r2", "r3", "r3")
}

func (g *generator) password() string {
	if g.chance(3) {
		return pick(g, "", strings.Repeat("x", 72), strings.Repeat("x", 73))
	}
	return pick(g, "p1", "p1", "p2")
}

// auth draws one call of the Auth service.
func (g *generator) auth() Step {
	user, role := g.user(), g.role()
	switch g.IntN(26) {
	case 0, 1:
		return authStep("Authenticate", &pb.AuthenticateRequest{Name: user, Password: g.password()})
	case 2:
		return authStep("UserAdd", &pb.AuthUserAddRequest{Name: user, Password: g.password(),
			Options: pick(g, nil, &authpb.UserAddOptions{}, &authpb.UserAddOptions{NoPassword: true})})
	case 3, 4:
		return authStep("UserGet", &pb.AuthUserGetRequest{Name: user})
	case 5, 6:
		return authStep("UserList", &pb.AuthUserListRequest{})
	case 7:
		return authStep("UserDelete", &pb.AuthUserDeleteRequest{Name: user})
	case 8:
		return authStep("UserChangePassword",
			&pb.AuthUserChangePasswordRequest{Name: user, Password: g.password()})
	case 9, 10:
		return authStep("UserGrantRole", &pb.AuthUserGrantRoleRequest{User: user, Role: role})
	case 11:
		return authStep("UserRevokeRole", &pb.AuthUserRevokeRoleRequest{Name: user, Role: role})
	case 12:
		return authStep("RoleAdd", &pb.AuthRoleAddRequest{Name: role})
	case 13, 14:
		return authStep("RoleGet", &pb.AuthRoleGetRequest{Role: role})
	case 15:
		return authStep("RoleList", &pb.AuthRoleListRequest{})
	case 16:
		if g.chance(50) {
			return authStep("RoleDelete", &pb.AuthRoleDeleteRequest{Role: role})
		}
		return g.restoreUsers()
	case 17, 18, 19, 20:
		return g.grant(role)
	case 21, 22:
		key := g.key()
		return authStep("RoleRevokePermission",
			&pb.AuthRoleRevokePermissionRequest{Role: role, Key: key, RangeEnd: g.anyRangeEnd(key)})
	case 23:
		return authStep("AuthEnable", &pb.AuthEnableRequest{})
	case 24:
		return authStep("AuthStatus", &pb.AuthStatusRequest{})
	}
	if g.chance(70) {
		return authStep("AuthStatus", &pb.AuthStatusRequest{})
	}
	g.reenable = 5 + g.IntN(40)
	return authStep("AuthDisable", &pb.AuthDisableRequest{})
}

// restoreUsers gives the users and roles that were deleted back, so that denials stay a choice.
func (g *generator) restoreUsers() Step {
	user, role := pick(g, callers[2:]...), pick(g, roles[1:]...)
	g.queue = append(g.queue, authStep("RoleAdd", &pb.AuthRoleAddRequest{Name: role}),
		g.grant(role),
		authStep("UserGrantRole", &pb.AuthUserGrantRoleRequest{User: user, Role: role}),
		g.authenticate(callerOf(user)))
	return authStep("UserAdd", &pb.AuthUserAddRequest{Name: user, Password: "p1",
		Options: &authpb.UserAddOptions{NoPassword: user == "nopw"}})
}

// caller draws who asks.
func (g *generator) caller(step Step) int {
	if strings.HasPrefix(step.Method, "/etcdserverpb.Auth/") && g.chance(70) {
		return rootCaller
	}
	switch drawn := g.IntN(100); {
	case drawn < 35:
		return rootCaller
	case drawn < 93:
		return 2 + g.IntN(len(callers)-2)
	case drawn < 97:
		return 0
	}
	return strangerCaller
}

// refreshed queues a new token, mostly, for those whose last request etcd refused for theirs.
func (g *generator) refreshed() {
	for number := rootCaller; number < len(callers); number++ {
		if g.pair.stale[number] {
			delete(g.pair.stale, number)
			_, known := g.pair.passwords[callers[number]]
			if known && (number == rootCaller || g.chance(60)) {
				g.queue = append(g.queue, g.authenticate(number))
			}
		}
	}
}

// learnAuth keeps the passwords that etcd has taken and the tokens that it takes no more.
func (p *Pair) learnAuth(step Step, want Outcome) {
	if want.Code == codes.Unauthenticated || strings.Contains(want.Text, "revision of auth store is old") {
		p.stale[step.As] = true
	}
	if want.Code != codes.OK {
		return
	}
	switch request := step.Request.(type) {
	case *pb.AuthUserAddRequest:
		if !request.GetOptions().GetNoPassword() {
			p.passwords[request.Name] = request.Password
		}
	case *pb.AuthUserChangePasswordRequest:
		p.passwords[request.Name] = request.Password
	case *pb.AuthUserDeleteRequest:
		delete(p.passwords, request.Name)
	}
}

// learnToken keeps the token that a side gave, for the caller whose name it is.
func (s *Side) learnToken(step Step, outcome Outcome) {
	request, ok := step.Request.(*pb.AuthenticateRequest)
	reply, replied := outcome.Reply.(*pb.AuthenticateResponse)
	if !ok || !replied || outcome.Code != codes.OK {
		return
	}
	if caller := callerOf(request.Name); caller > 0 {
		s.tokens[caller] = reply.Token
	}
}

func newTokens() map[int]string {
	return map[int]string{strangerCaller: fmt.Sprintf("%s.1", strings.Repeat("x", 16))}
}
