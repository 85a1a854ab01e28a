package main

// Read is a series that an alert or a dashboard of etcd's monitoring mixin (3.7.1) reads, with the
// labels that its expressions select by, sum away or show.
type Read struct {
	Family string
	Labels []string
	By     string
}

var call = []string{"grpc_method", "grpc_service", "grpc_type"}

// mixin is every series of the alerts and of both dashboards. `up` is the scraper's own.
var mixin = []Read{
	{"etcd_server_has_leader", nil, "etcdNoLeader; dashboard: up; the dashboard's variable"},
	{"etcd_server_leader_changes_seen_total", nil, "etcdHighNumberOfLeaderChanges; dashboard"},
	{"etcd_server_proposals_failed_total", nil, "etcdHighNumberOfFailedProposals; dashboard"},
	{"etcd_server_proposals_pending", nil, "dashboard: raft proposals"},
	{"etcd_server_proposals_committed_total", nil, "dashboard: raft proposals"},
	{"etcd_server_proposals_applied_total", nil, "dashboard: raft proposals"},
	{"etcd_server_quota_backend_bytes", nil, "etcdDatabaseQuotaLowSpace, etcdExcessiveDatabaseGrowth"},
	{"etcd_mvcc_db_total_size_in_bytes", nil, "the same two; etcdDatabaseHighFragmentationRatio; dashboard"},
	{"etcd_mvcc_db_total_size_in_use_in_bytes", nil, "etcdDatabaseHighFragmentationRatio"},
	{"etcd_disk_wal_fsync_duration_seconds", nil, "etcdHighFsyncDurations; dashboard: disk sync"},
	{"etcd_disk_backend_commit_duration_seconds", nil, "etcdHighCommitDurations; dashboard: disk sync"},
	{"etcd_network_client_grpc_received_bytes_total", nil, "dashboard: client traffic in"},
	{"etcd_network_client_grpc_sent_bytes_total", nil, "dashboard: client traffic out"},
	{"etcd_network_peer_received_bytes_total", []string{"From"}, "dashboard: peer traffic in"},
	{"etcd_network_peer_sent_bytes_total", []string{"To"}, "dashboard: peer traffic out"},
	{"etcd_network_peer_sent_failures_total", []string{"To"}, "etcdMembersDown"},
	{"etcd_network_peer_round_trip_time_seconds", []string{"To"}, "etcdMemberCommunicationSlow; dashboard"},
	{"grpc_server_started_total", call, "dashboard: RPC rate, active streams"},
	{"grpc_server_handled_total", append([]string{"grpc_code"}, call...), "etcdHighNumberOfFailedGRPCRequests; dashboard"},
	{"grpc_server_handling_seconds", call, "etcdGRPCRequestsSlow (only with --metrics=extensive)"},
	{"process_resident_memory_bytes", nil, "dashboard: memory"},
}

// operators are what etcd's own pages on metrics, tuning and trouble name besides, and what
// dashboards in use read; kubeadm and kube-apiserver read no metrics, only the health pages and
// Status.
var operators = []Read{
	{"etcd_server_is_leader", nil, "guide: metrics"},
	{"etcd_server_is_learner", nil, "dashboards"},
	{"etcd_server_id", []string{"server_id"}, "dashboards"},
	{"etcd_server_version", []string{"server_version"}, "dashboards"},
	{"etcd_cluster_version", []string{"cluster_version"}, "dashboards"},
	{"etcd_server_slow_apply_total", nil, "guide: FAQ"},
	{"etcd_server_slow_read_indexes_total", nil, "guide: FAQ"},
	{"etcd_server_read_indexes_failed_total", nil, "guide: FAQ"},
	{"etcd_server_heartbeat_send_failures_total", nil, "guide: FAQ"},
	{"etcd_server_health_success", nil, "probes"},
	{"etcd_server_health_failures", nil, "probes"},
	{"etcd_server_healthcheck", []string{"name", "type"}, "probes"},
	{"etcd_server_client_requests_total", []string{"client_api_version", "type"}, "dashboards"},
	{"etcd_server_apply_duration_seconds", []string{"op", "success", "version"}, "guide: FAQ"},
	{"etcd_server_range_duration_seconds", []string{"success"}, "dashboards"},
	{"etcd_server_request_duration_seconds", []string{"success", "type"}, "dashboards"},
	{"etcd_debugging_snap_save_total_duration_seconds", nil, "guide: metrics"},
	{"etcd_debugging_mvcc_keys_total", nil, "dashboards"},
	{"etcd_debugging_mvcc_watcher_total", nil, "dashboards"},
	{"etcd_debugging_mvcc_watch_stream_total", nil, "dashboards"},
	{"etcd_debugging_mvcc_slow_watcher_total", nil, "dashboards"},
	{"etcd_debugging_mvcc_events_total", nil, "dashboards"},
	{"etcd_mvcc_put_total", nil, "dashboards"},
	{"etcd_mvcc_delete_total", nil, "dashboards"},
	{"etcd_mvcc_range_total", nil, "dashboards"},
	{"etcd_mvcc_txn_total", nil, "dashboards"},
	{"process_cpu_seconds_total", nil, "dashboards"},
	{"process_open_fds", nil, "guide: metrics"},
	{"process_max_fds", nil, "guide: metrics"},
	{"process_start_time_seconds", nil, "dashboards"},
}
