// Command differential asks a real etcd and another server the same random requests, one after
// another, and compares all that comes back: every field, error code and text, every watch
// event. A difference that explained.go does not list fails the run, is shrunk, and is printed
// with the one command that repeats it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"conformance/store"
)

type settings struct {
	seed        uint64
	episode     int
	requests    int
	perEpisode  int
	etcd        string
	meridian    string
	extra       string
	replay      string
	out         string
	show        bool
	shrinkLimit time.Duration
	failures    int
	skipPhases  bool
	verbose     bool
	auth        int
	jwt         bool
	gateway     int
	services    int
	journal     string
	replicas    int
}

func parseFlags() settings {
	var s settings
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "what all requests follow from")
	flag.IntVar(&s.requests, "requests", 100_000, "how many requests, over all episodes")
	flag.IntVar(&s.perEpisode, "per-episode", 5_000, "requests before the servers start afresh")
	flag.IntVar(&s.episode, "episode", -1, "run this episode only")
	flag.StringVar(&s.etcd, "etcd", "bin/etcd", "the real etcd")
	flag.StringVar(&s.meridian, "meridian", "../target/release/meridian", "the server to judge")
	flag.StringVar(&s.extra, "meridian-args", "", "more arguments for it, separated by spaces")
	flag.StringVar(&s.replay, "replay", "", "ask the script in this file instead")
	flag.BoolVar(&s.show, "print", false, "with -replay: print what etcd answers")
	flag.StringVar(&s.out, "out", os.TempDir(), "directory for scripts that failed")
	flag.DurationVar(&s.shrinkLimit, "shrink", time.Minute, "how long to shrink a failing script")
	flag.IntVar(&s.failures, "failures", 5, "stop after so many different failures")
	flag.BoolVar(&s.skipPhases, "skip-phases", false, "leave out lease expiry and quota")
	flag.BoolVar(&s.verbose, "v", false, "count etcd's answers by method and text")
	flag.IntVar(&s.auth, "auth", 40, "percentage of the episodes with authentication on")
	flag.BoolVar(&s.jwt, "jwt", false, "tokens are JWT, in all episodes; else in every other one")
	flag.IntVar(&s.gateway, "gateway", 10, "percentage of the requests sent as JSON over HTTP")
	flag.IntVar(&s.services, "services", 50, "Lock and Election calls among some 10,000 requests")
	flag.StringVar(&s.journal, "journal", "", "meridian's --journal; every episode is a new cluster in it")
	flag.IntVar(&s.replicas, "replicas", 1, "with -journal: how many replicas the requests are spread over")
	flag.Parse()
	return s
}

func main() {
	s := parseFlags()
	if s.replicas > 1 && s.journal == "" {
		fmt.Fprintln(os.Stderr, "-replicas wants -journal")
		os.Exit(2)
	}
	targets := Targets{
		Want:     store.Options{Binary: s.etcd, Args: []string{"--unsafe-no-fsync", cheapHash}},
		Got:      store.Options{Binary: s.meridian, Args: append([]string{cheapHash}, strings.Fields(s.extra)...)},
		Journal:  s.journal,
		Replicas: s.replicas,
	}
	judge := &judge{settings: s, targets: targets, explained: map[string]int{},
		answers: map[string]int{},
		seen:    map[string]bool{}}
	var err error
	if s.replay != "" {
		err = judge.replay()
	} else {
		err = judge.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot judge:", err)
		os.Exit(2)
	}
	judge.summary()
	if len(judge.seen) > 0 {
		os.Exit(1)
	}
}

// cheapHash keeps bcrypt from being what is waited for.
const cheapHash = "--bcrypt-cost=4"

// of is what one episode is drawn from, and if its tokens are JWT.
func (s settings) of(episode int) (Mix, bool) {
	drawn := rand.New(rand.NewPCG(s.seed, uint64(episode)|1<<32))
	auth := drawn.IntN(100) < s.auth
	return Mix{Auth: auth, Services: s.services, Gateway: s.gateway, Doors: s.replicas}, auth && (s.jwt || drawn.IntN(2) == 0)
}

// judge runs the episodes and keeps the score.
type judge struct {
	settings
	targets   Targets
	asked     int
	explained map[string]int
	answers   map[string]int
	seen      map[string]bool
	started   time.Time
}

func (j *judge) run() error {
	j.started = time.Now()
	fmt.Printf("seed %d: %d requests, %d an episode\n", j.seed, j.requests, j.perEpisode)
	if !j.skipPhases && j.episode < 0 {
		if err := j.phases(); err != nil {
			return err
		}
	}
	episodes := (j.requests + j.perEpisode - 1) / j.perEpisode
	for episode := range episodes {
		if j.episode >= 0 && episode != j.episode {
			continue
		}
		count := min(j.perEpisode, j.requests-episode*j.perEpisode)
		if err := j.episodeOf(episode, count); err != nil {
			return err
		}
		if len(j.seen) >= j.failures {
			fmt.Println("stopping: too many different failures")
			return nil
		}
	}
	return nil
}

func (j *judge) episodeOf(episode, count int) error {
	mix, jwt := j.of(episode)
	targets := j.targets
	targets.Mix = mix
	if jwt {
		var remove func()
		var err error
		if targets, remove, err = withJWT(targets); err != nil {
			return err
		}
		defer remove()
	}
	result, err := runEpisode(targets, j.seed, uint64(episode), count)
	if err != nil {
		return err
	}
	j.score(result)
	if len(result.Diffs) > 0 {
		again := fmt.Sprintf("go run ./differential -seed %d -episode %d -requests %d "+
			"-per-episode %d -auth %d -jwt=%v -gateway %d -services %d -etcd %s -meridian %s", j.seed,
			episode, j.requests, j.perEpisode, j.auth, j.jwt, j.gateway, j.services, j.etcd, j.meridian)
		j.report(targets, jwt, result, again+j.place())
	}
	fmt.Printf("episode %d (auth %v, jwt %v): %d requests so far, %.0f/s\n", episode, mix.Auth, jwt,
		j.asked, float64(j.asked)/time.Since(j.started).Seconds())
	return nil
}

// withJWT makes both servers sign their tokens with one key.
func withJWT(targets Targets) (Targets, func(), error) {
	file, err := os.CreateTemp("", "conformance-jwt-")
	if err != nil {
		return targets, nil, err
	}
	remove := func() { os.Remove(file.Name()) }
	defer file.Close()
	if _, err := file.WriteString("a key that both servers know, long enough for every HMAC"); err != nil {
		remove()
		return targets, nil, err
	}
	token := "--auth-token=jwt,sign-method=HS256,ttl=1h,priv-key=" + file.Name()
	targets.Want.Args = append([]string{token}, targets.Want.Args...)
	targets.Got.Args = append([]string{token}, targets.Got.Args...)
	return targets, remove, nil
}

func (j *judge) score(result Result) {
	j.asked += len(result.Script)
	for name, count := range result.Explained {
		j.explained[name] += count
	}
	for name, count := range result.Answers {
		j.answers[name] += count
	}
}

// place is the rest of a command line: where the second server keeps its journal.
func (s settings) place() string {
	if s.journal == "" {
		return ""
	}
	return fmt.Sprintf(" -journal '%s' -replicas %d", s.journal, s.replicas)
}

// report prints a failure once for each kind, shrunk, with what repeats it.
func (j *judge) report(targets Targets, jwt bool, result Result, again string) {
	signature := result.Diffs[0].signature()
	fmt.Printf("DIFFERENCE after %d requests: %v\n  all of it: %s\n", len(result.Script),
		result.Diffs[0], again)
	if j.seen[signature] {
		return
	}
	j.seen[signature] = true
	small := shrink(targets, result, j.shrinkLimit, func(format string, values ...any) {
		fmt.Printf("  "+format+"\n", values...)
	})
	path := filepath.Join(j.out, fmt.Sprintf("differential-%d-%d.script", j.seed, len(j.seen)))
	if err := writeScript(path, small.Script); err != nil {
		fmt.Println("  cannot save the script:", err)
	}
	fmt.Printf("  shrunk to %d steps; repeat with:\n  go run ./differential -jwt=%v -replay %s -etcd %s -meridian %s%s\n",
		len(small.Script), jwt, path, j.etcd, j.meridian, j.place())
	printScript(small.Script)
	for _, diff := range small.Diffs[:min(len(small.Diffs), 12)] {
		fmt.Printf("  != %v\n", diff)
	}
}

func (j *judge) replay() error {
	script, err := readScript(j.settings.replay)
	if err != nil {
		return err
	}
	j.started = time.Now()
	if j.show {
		j.targets.Listen = func(step Step, o Outcome) {
			fmt.Printf("%s\n  -> %v %q {%v}\n", clip(step.String()), o.Code, o.Text, o.Reply)
		}
	}
	if j.jwt {
		targets, remove, err := withJWT(j.targets)
		if err != nil {
			return err
		}
		defer remove()
		j.targets = targets
	}
	result, err := runScript(j.targets, script)
	if err != nil {
		return err
	}
	j.score(result)
	printScript(result.Script)
	for _, diff := range result.Diffs {
		j.seen[diff.signature()] = true
		fmt.Printf("  != %v\n", diff)
	}
	return nil
}

func (j *judge) summary() {
	fmt.Printf("%d requests in %v\n", j.asked, time.Since(j.started).Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(j.explained)) {
		fmt.Printf("  explained %d times: %s\n", j.explained[name], name)
	}
	if j.verbose {
		for _, name := range slices.Sorted(maps.Keys(j.answers)) {
			fmt.Printf("  etcd answered %7d times: %s\n", j.answers[name], name)
		}
	}
	fmt.Printf("  %d watch events compared\n", j.answers["watch events"])
	if len(j.seen) == 0 {
		fmt.Println("no unexplained difference")
		return
	}
	fmt.Printf("%d different unexplained differences:\n", len(j.seen))
	for _, signature := range slices.Sorted(maps.Keys(j.seen)) {
		fmt.Println("  " + signature)
	}
}

// printScript shows the end of a script; the file holds all of it.
func printScript(script []Step) {
	const shown = 40
	first := max(0, len(script)-shown)
	if first > 0 {
		fmt.Printf("  … %d steps before\n", first)
	}
	for i, step := range script[first:] {
		fmt.Printf("  %4d %s\n", first+i, clip(step.String()))
	}
}

func clip(line string) string {
	const limit = 400
	if len(line) > limit {
		return line[:limit] + "…"
	}
	return line
}

func writeScript(path string, script []Step) error {
	var text strings.Builder
	for _, step := range script {
		text.WriteString(step.String() + "\n")
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func readScript(path string) ([]Step, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	var script []Step
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "" || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		step, err := parseStep(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%q: %w", clip(lines.Text()), err)
		}
		script = append(script, step)
	}
	return script, lines.Err()
}
