package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// wholeMix draws everything that is not plain, more often than a run does.
var wholeMix = Mix{Auth: true, Services: 100, Gateway: 30}

func mixedTargets(t *testing.T) Targets {
	targets := etcdTargets(t)
	targets.Mix = wholeMix
	targets.Want.Args = append([]string{cheapHash}, targets.Want.Args...)
	targets.Got.Args = append([]string{cheapHash}, targets.Got.Args...)
	return targets
}

func TestEqualServersDoNotDifferInAnyMix(t *testing.T) {
	targets, remove, err := withJWT(mixedTargets(t))
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	for name, each := range map[string]Targets{"simple": mixedTargets(t), "jwt": targets} {
		result, err := runEpisode(each, testSeed, 0, testRequests)
		if err != nil {
			t.Fatal(err)
		}
		for _, diff := range result.Diffs {
			t.Errorf("%s tokens: %v", name, diff)
		}
		denied := 0
		for answer, count := range result.Answers {
			if strings.Contains(answer, "permission denied") {
				denied += count
			}
		}
		if denied < 20 {
			t.Errorf("%s tokens: only %d requests were denied", name, denied)
		}
	}
}

func TestEachWrongRightIsSeen(t *testing.T) {
	cases := map[string]struct {
		tamper func(Step, *Outcome)
		about  string
	}{
		"granted": {func(_ Step, o *Outcome) {
			if o.Code == codes.PermissionDenied {
				o.Code, o.Text = codes.OK, ""
			}
		}, "code"},
		"no token": {replies(0, func(r *pb.AuthenticateResponse) { r.Token = "" }), "token"},
		"order of roles": {replies(0, func(r *pb.AuthUserGetResponse) {
			if len(r.Roles) > 1 {
				r.Roles[0], r.Roles[1] = r.Roles[1], r.Roles[0]
			}
		}), "roles"},
		"auth revision": {replies(0, func(r *pb.AuthStatusResponse) { r.AuthRevision++ }), "authRevision"},
		"http status": {func(step Step, o *Outcome) {
			if step.Gateway > 0 {
				o.HTTP = strings.Replace(o.HTTP, "403", "400", 1)
			}
		}, "http"},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			targets := mixedTargets(t)
			targets.Tamper = each.tamper
			mustDiffer(t, targets, each.about)
		})
	}
}

// TestWatchEndedWithRightsIsSeen ends a watch whose rights nobody has taken.
func TestWatchEndedWithRightsIsSeen(t *testing.T) {
	targets := mixedTargets(t)
	targets.Mix = Mix{}
	targets.TamperWatch = func(r *pb.WatchResponse) *pb.WatchResponse {
		if len(r.Events) > 0 {
			r.Events, r.Canceled = nil, true
			r.CancelReason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
		}
		return r
	}
	mustDiffer(t, targets, "stream")
}

// TestJSONMustBeExact feeds replies that a lenient reader would take for right.
func TestJSONMustBeExact(t *testing.T) {
	step := Step{Method: "/etcdserverpb.KV/Range"}
	cases := map[string]bool{
		`{"header":{"revision":"3"},"count":"1"}`:  true,
		`{"count":"1","header":{"revision":"3"}}`:  true,
		`{"header":{"revision":3}}`:                false,
		`{"header":{"revision":"3"},"more":false}`: false,
		`{"header":{"raftTerm":"2"}}`:              false,
		`{"kvs":[{"key":"-_8="}]}`:                 false,
		`{"kvs":[]}`:                               false,
		`{"nope":1}`:                               false,
		`nothing`:                                  false,
	}
	for raw, right := range cases {
		if outcome := readJSON(step, 200, []byte(raw)); (len(outcome.Broken) == 0) != right {
			t.Errorf("%s: %v", raw, outcome.Broken)
		}
	}
}
