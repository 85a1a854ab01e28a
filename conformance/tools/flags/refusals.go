package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command lines that etcd does not start with.
var refused = [][]string{
	{"--nope"},
	{"--discovery=http://x"},
	{"--discovery-proxy=http://x"},
	{"stray"},
	{"--name=a", "stray"},
	{"---name"},
	{"--name"},
	{"--max-txn-ops=x"},
	{"--max-concurrent-streams=4294967296"},
	{"--watch-progress-notify-interval=5"},
	{"--enable-pprof=maybe"},
	{"--initial-cluster-state=old"},
	{"--discovery-fallback=x"},
	{"--v2-deprecation=not-yet"},
	{"--feature-gates=Nope=true"},
	{"--feature-gates=AllAlpha"},
	{"--feature-gates=AllAlpha=x"},
	{"--feature-gates=LeaseCheckpointPersist=true"},
	{"--listen-client-urls=x"},
	{"--listen-client-urls=http://127.0.0.1:23790"},
	{"--listen-client-urls=http://localhost.invalid:1", "--advertise-client-urls=http://a:1"},
	{"--log-format=xml"},
	{"--logger=capnslog"},
	{"--logger=x"},
	{"--log-outputs=default,stderr"},
	{"--log-outputs=stderr,systemd/journal"},
	{"--enable-log-rotation"},
	{"--enable-log-rotation", "--log-outputs=a,b"},
	{"--enable-distributed-tracing", "--distributed-tracing-sampling-rate=-1"},
	{"--enable-distributed-tracing", "--distributed-tracing-sampling-rate=1000001"},
	{"--heartbeat-interval=0"},
	{"--election-timeout=0"},
	{"--election-timeout=60000"},
	{"--heartbeat-interval=500"},
	{"--auto-compaction-mode=x"},
	{"--auto-compaction-retention=x"},
	{"--compact-hash-check-time=0s"},
	{"--discovery-token=x"},
	{"--initial-cluster=a=http://a:1", "--discovery-srv=x"},
	{"--tls-min-version=TLS1.1"},
	{"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"},
	{"--cipher-suites=x"},
	{"--config-file=/nowhere/c.yml"},
}

// How a refusal that is etcd's in sense is not in words.
var explained = map[string]string{
	"--listen-client-urls=x": "which port is missing is told by Go's URL parser",
	"--listen-client-urls=http://localhost.invalid:1 --advertise-client-urls=http://a:1": "the flag is named",
}

func checkRefusals(b binaries) (wrong []string, err error) {
	for _, args := range refused {
		line := strings.Join(args, " ")
		code, theirs, err := run(b.etcd, args)
		if err != nil {
			return nil, fmt.Errorf("etcd %s: %w", line, err)
		}
		if code == 0 {
			return nil, fmt.Errorf("etcd starts with %s", line)
		}
		ours, text, err := run(b.meridian, args)
		if err != nil {
			return nil, fmt.Errorf("meridian %s: %w", line, err)
		}
		if ours != code {
			wrong = append(wrong, fmt.Sprintf("%s: exit code %d, not %d", line, ours, code))
		}
		// In a line of JSON as in plain text.
		text = strings.ReplaceAll(text, `\"`, `"`)
		reason := reason(theirs)
		if !strings.Contains(text, reason) && explained[line] == "" {
			wrong = append(wrong, fmt.Sprintf("%s: %q, not %q", line, strings.TrimSpace(text), reason))
		}
	}
	return wrong, nil
}

// reason is why etcd did not start: the error in its last line of log, or the first line of text.
func reason(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		var line struct{ Error string }
		if json.Unmarshal([]byte(lines[i]), &line) == nil && line.Error != "" {
			return line.Error
		}
	}
	return lines[0]
}

// run runs a command to its end: its exit code and all that it wrote.
func run(binary string, args []string) (int, string, error) {
	dir, err := os.MkdirTemp("", "flags-")
	if err != nil {
		return 0, "", err
	}
	defer os.RemoveAll(dir)
	command := exec.Command(binary, args...)
	command.Dir = dir
	timer := time.AfterFunc(20*time.Second, func() { command.Process.Kill() })
	defer timer.Stop()
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, "", err
	}
	return command.ProcessState.ExitCode(), string(out), nil
}

// checkHelp holds what scripts read of the two texts.
func checkHelp(b binaries) (wrong []string, err error) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"--version"}, {"-version"}, {"--version=true"}} {
		for _, binary := range []string{b.etcd, b.meridian} {
			code, text, err := run(binary, args)
			if err != nil {
				return nil, err
			}
			want := "\nMember:\n"
			if strings.Contains(args[0], "version") {
				want = "etcd Version: 3.7.1\nGit SHA: "
			}
			if code != 0 || !strings.Contains(text, want) {
				wrong = append(wrong, fmt.Sprintf("%s %s: exit code %d, %.60q", binary, args[0], code, text))
			}
		}
	}
	return wrong, nil
}
