package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func memberID(s *side) uint64 {
	reply, err := s.maintenance().Status(context.Background(), &pb.StatusRequest{})
	if err != nil {
		return 0
	}
	return reply.Header.MemberId
}

func add(learner bool, urls ...string) step {
	return step{"add " + strings.Join(urls, " "), func(s *side) string {
		reply, err := s.cluster().MemberAdd(context.Background(),
			&pb.MemberAddRequest{PeerURLs: urls, IsLearner: learner})
		return s.said(reply, err)
	}}
}

// toMember asks something of this member, or of one that is not there.
func toMember(name string, itself bool, ask func(*side, uint64) string) step {
	return step{fmt.Sprintf("%s, itself %t", name, itself), func(s *side) string {
		if itself {
			return ask(s, memberID(s))
		}
		return ask(s, 77)
	}}
}

func removeMember(s *side, id uint64) string {
	reply, err := s.cluster().MemberRemove(context.Background(), &pb.MemberRemoveRequest{ID: id})
	return s.said(reply, err)
}

func promote(s *side, id uint64) string {
	reply, err := s.cluster().MemberPromote(context.Background(), &pb.MemberPromoteRequest{ID: id})
	return s.said(reply, err)
}

func moveLeader(s *side, id uint64) string {
	reply, err := s.maintenance().MoveLeader(context.Background(),
		&pb.MoveLeaderRequest{TargetID: id})
	return s.said(reply, err)
}

func update(urls ...string) func(*side, uint64) string {
	return func(s *side, id uint64) string {
		reply, err := s.cluster().MemberUpdate(context.Background(),
			&pb.MemberUpdateRequest{ID: id, PeerURLs: urls})
		return s.said(reply, err)
	}
}

func members() step {
	return step{"members", func(s *side) string {
		reply, err := s.cluster().MemberList(context.Background(),
			&pb.MemberListRequest{Linearizable: true})
		return s.said(reply, err)
	}}
}

const ownPeer = "http://127.0.0.1:32380"

func clusterSteps() []step {
	return []step{
		members(),
		add(false),
		add(false, ""),
		add(false, "nonsense"),
		add(false, "http://10.0.0.1"),
		add(false, "http://10.0.0.1:2380/path"),
		add(false, "ftp://10.0.0.1:2380"),
		add(true, "http://10.0.0.1:2380", "bad"),
		add(false, ownPeer),
		add(true, ownPeer),
		add(false, "http://10.0.0.1:2380", ownPeer),
		toMember("remove", true, removeMember),
		toMember("remove", false, removeMember),
		toMember("promote", true, promote),
		toMember("promote", false, promote),
		toMember("move leader", true, moveLeader),
		toMember("move leader", false, moveLeader),
		step{"move leader to 0", func(s *side) string { return moveLeader(s, 0) }},
		toMember("update", false, update("http://10.0.0.2:2380")),
		toMember("update", true, update("http://10.0.0.2:2380", "http://10.0.0.1:2380")),
		members(),
		add(false, "http://10.0.0.1:2380"),
		toMember("update", true, update("not a url", "é<>&")),
		members(),
		restart(),
		members(),
		toMember("update", true, update()),
		members(),
		alarm(pb.AlarmType_CORRUPT, pb.AlarmRequest_ACTIVATE),
		toMember("update", true, update(ownPeer)),
		downgrade(pb.DowngradeRequest_ENABLE, "3.6.0"),
		alarm(pb.AlarmType_CORRUPT, pb.AlarmRequest_DEACTIVATE),
		members(),
		everything(),
	}
}

func downgrade(action pb.DowngradeRequest_DowngradeAction, version string) step {
	return step{fmt.Sprintf("%s %q", action, version), func(s *side) string {
		reply, err := s.maintenance().Downgrade(context.Background(),
			&pb.DowngradeRequest{Action: action, Version: version})
		return s.said(reply, err)
	}}
}

// settled waits for the storage version that a downgrade brings: etcd's leader gets to it in seconds.
func settled(version string) step {
	return step{"settled at " + version, func(s *side) string {
		for range 150 {
			reply, err := s.maintenance().Status(context.Background(), &pb.StatusRequest{})
			if err == nil && reply.StorageVersion == version {
				return fmt.Sprint(reply.Version, " ", reply.StorageVersion, " ", reply.DowngradeInfo)
			}
			time.Sleep(100 * time.Millisecond)
		}
		return noAnswer
	}}
}

func downgradeSteps() []step {
	validate, enable := pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_ENABLE
	cancel := pb.DowngradeRequest_CANCEL
	steps := []step{settled("3.7.0"), page("/version"), downgrade(cancel, ""), downgrade(7, "3.6")}
	for _, version := range versions {
		steps = append(steps, downgrade(validate, version))
	}
	for _, version := range []string{"", "x", "3.7", "3.5.0", "3.8", "4.6.0"} {
		steps = append(steps, downgrade(enable, version))
	}
	steps = append(steps, settled("3.7.0"), downgrade(enable, "3.6.9"), settled("3.6.0"),
		page("/version"))
	for _, version := range versions {
		steps = append(steps, downgrade(validate, version), downgrade(enable, version))
	}
	return append(steps, restart(), settled("3.6.0"), page("/version"),
		downgrade(cancel, "nonsense"), settled("3.7.0"), page("/version"), downgrade(cancel, ""),
		restart(), settled("3.7.0"), downgrade(enable, "3.6"), settled("3.6.0"), everything())
}

var versions = []string{"", "3", "3.6", "3.6.0", "3.6.99", "3.6.0-rc.1", "3.6.0+b", "3.6-rc",
	"v3.6.0", " 3.6.0", "3.6.0.0", "3.5", "3.5.7", "3.7", "3.7.0", "3.8.0", "2.6.0", "4.0", "03.06.0",
	"3.-6.0", "3.6.9223372036854775808", "3.6.0-", "3.6.0-a..b", "3.6.0-é", "-", "+", "..."}
