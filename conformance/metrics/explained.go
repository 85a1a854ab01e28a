package main

import "strings"

// Explained is a family, or all of a prefix, that one side alone has, or that differs in kind.
type Explained struct {
	// Name is a family; with a * at its end, a prefix.
	Name   string
	Reason string
}

// explained is the whole list: a family that only one side has fails the run if it is not here.
var explained = []Explained{
	{"go_*", "the Go runtime's: there is no garbage collector and there are no goroutines to measure"},
	{"promhttp_*", "the Go library counting its own scrapes"},
	{"meridian_*", "Meridian's own; docs/metrics.md has them"},
	{"etcd_server_go_version", "there is no Go"},
	{"etcd_server_feature_enabled", "no feature gate changes what Meridian does, so none is enabled or not"},
	{"etcd_grpc_proxy_*", "the proxy is a program of its own"},
	{"etcd_debugging_store_*", "the v2 store's; there is none"},
	{"etcd_debugging_disk_backend_commit_*", "phases of a bbolt commit: rebalance, spill, write"},
	{"etcd_debugging_snap_save_marshalling_duration_seconds", "a checkpoint is encoded while it is written; there is no such phase"},
	{"etcd_debugging_mvcc_db_compaction_keys_total", "records are freed with their segment, and not counted one by one"},
	{"etcd_debugging_mvcc_db_compaction_last", "the compaction histogram's count says whether there was one"},
	{"etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", "index and history are compacted in the same step, whose pause is the other histogram's"},
	{"etcd_debugging_server_watch_send_loop_*", "there is no send loop a stream: what is sent is encoded when its client is ready to take it"},
	{"etcd_mvcc_db_open_read_transactions", "a read holds a view, which keeps nobody from anything"},
}

// explain finds the reason for a family; "" is none.
func explain(family string) string {
	for _, entry := range explained {
		prefix, isPrefix := strings.CutSuffix(entry.Name, "*")
		if family == entry.Name || isPrefix && strings.HasPrefix(family, prefix) {
			return entry.Reason
		}
	}
	return ""
}
