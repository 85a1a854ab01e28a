package main

import (
	"fmt"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
)

const (
	roles = 20
	users = 40
)

func userName(n int) string { return fmt.Sprintf("user-%02d", n) }
func password(n int) string { return fmt.Sprintf("secret of %d", n) }

// grantRights makes roles and users of every kind and turns authentication on.
func (s *side) grantRights() error {
	ctx := s.ctx()
	for n := range roles {
		name := fmt.Sprintf("role-%02d", n)
		if _, err := s.auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: name}); err != nil {
			return err
		}
		for _, p := range permissions(n) {
			if _, err := s.auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: name,
				Perm: p}); err != nil {
				return err
			}
		}
	}
	for n := range users {
		if err := s.addUser(n); err != nil {
			return err
		}
	}
	// A role and a user that are gone leave no more than their trace in the auth revision.
	if _, err := s.auth.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: "role-19"}); err != nil {
		return err
	}
	if _, err := s.auth.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: userName(39)}); err != nil {
		return err
	}
	return s.enable()
}

// permissions are those of the nth role: keys, ranges, prefixes and open ends.
func permissions(n int) []*authpb.Permission {
	kind := fmt.Sprintf("/registry/kind-%02d/", n)
	all := []*authpb.Permission{
		{PermType: authpb.READ, Key: []byte(kind), RangeEnd: fmt.Appendf(nil, "/registry/kind-%02d0", n)},
		{PermType: authpb.WRITE, Key: fmt.Appendf(nil, "%snamespace-%03d/", kind, n),
			RangeEnd: fmt.Appendf(nil, "%snamespace-%03d0", kind, n)},
		{PermType: authpb.READWRITE, Key: fmt.Appendf(nil, "single-%d", n)},
	}
	switch n {
	case 0:
		all = append(all, &authpb.Permission{PermType: authpb.READ, Key: []byte{0}, RangeEnd: []byte{0}})
	case 1:
		all = append(all, &authpb.Permission{PermType: authpb.READWRITE, Key: []byte("open"), RangeEnd: []byte{0}})
	}
	return all
}

func (s *side) addUser(n int) error {
	ctx := s.ctx()
	add := &pb.AuthUserAddRequest{Name: userName(n), Password: password(n)}
	if n%8 == 7 {
		add.Password, add.Options = "", &authpb.UserAddOptions{NoPassword: true}
	}
	if _, err := s.auth.UserAdd(ctx, add); err != nil {
		return err
	}
	for _, role := range []int{n % roles, (n * 7) % roles} {
		grant := &pb.AuthUserGrantRoleRequest{User: userName(n), Role: fmt.Sprintf("role-%02d", role)}
		if _, err := s.auth.UserGrantRole(ctx, grant); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) enable() error {
	ctx := s.ctx()
	if _, err := s.auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: rootPassword}); err != nil {
		return err
	}
	if _, err := s.auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}); err != nil {
		return err
	}
	if _, err := s.auth.AuthEnable(ctx, &pb.AuthEnableRequest{}); err != nil {
		return err
	}
	return s.login()
}

// rights is everything about users and roles, a line each: what is stored, and what it is worth.
func (s *side) rights() ([]string, error) {
	ctx := s.ctx()
	about, err := s.auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("enabled %v, auth revision %d", about.Enabled, about.AuthRevision)}
	list, err := s.auth.RoleList(ctx, &pb.AuthRoleListRequest{})
	if err != nil {
		return nil, err
	}
	for _, role := range list.Roles {
		reply, err := s.auth.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: role})
		if err != nil {
			return nil, err
		}
		for _, p := range reply.Perm {
			lines = append(lines, fmt.Sprintf("role %s: %v %q %q", role, p.PermType, p.Key, p.RangeEnd))
		}
	}
	named, err := s.auth.UserList(ctx, &pb.AuthUserListRequest{})
	if err != nil {
		return nil, err
	}
	for _, user := range named.Users {
		reply, err := s.auth.UserGet(ctx, &pb.AuthUserGetRequest{Name: user})
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("user %s: %q", user, reply.Roles))
	}
	return append(lines, s.worth()...), nil
}

// worth is what some users may: log in, and read and write this or that.
func (s *side) worth() []string {
	var lines []string
	for n := 0; n < users; n += 5 {
		name := userName(n)
		_, wrong := s.authenticate(name, "not this")
		token, err := s.authenticate(name, password(n))
		lines = append(lines, fmt.Sprintf("%s: wrong password %q, right one %q", name,
			status.Convert(wrong).Message(), status.Convert(err).Message()))
		if err != nil {
			continue
		}
		for _, key := range [][]byte{keyOf(n), fmt.Appendf(nil, "/registry/kind-%02d/", n%roles), []byte("open sea"),
			fmt.Appendf(nil, "single-%d", n%roles)} {
			_, err := s.kv.Range(as(token), &pb.RangeRequest{Key: key, CountOnly: true})
			// It changes nothing: the key is not there, or it may not be deleted.
			_, deletion := s.kv.DeleteRange(as(token), &pb.DeleteRangeRequest{Key: append(key, "/none"...)})
			lines = append(lines, fmt.Sprintf("%s %q: reads %q, writes %q", name, key,
				status.Convert(err).Message(), status.Convert(deletion).Message()))
		}
	}
	return lines
}
