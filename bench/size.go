package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// What a break is, besides an error and being killed.
const (
	maxUpdate  = time.Second
	maxRestart = 30 * time.Second
)

// broken is a break without an error.
type broken struct{ why string }

func (b *broken) Error() string { return b.why }

// raised is the quota after the recommended one was used up.
const raised = 64 << 30

// SizeOptions says how far the climb goes.
type SizeOptions struct {
	Etcd, Meridian, Only, Out, Dir string
	Steps                          []float64
	MaxSize                        float64
	Quota                          float64
	MaxMemory, MaxDisk, Minutes    float64
	Watchers                       int
	Keep                           bool
	CompactEvery                   time.Duration
}

// Climb is one server on its way to its break.
type Climb struct {
	o      SizeOptions
	s      *Server
	dir    string
	conns  []*grpc.ClientConn
	alone  *grpc.ClientConn
	world  *World
	guard  *Guard
	report *Ascent
	// ctx ends, with its cause, when the server or the guard ends the climb.
	ctx      context.Context
	cancel   context.CancelCauseFunc
	unwatch  context.CancelFunc
	guarding sync.WaitGroup
	// patient is whether an update that is refused is tried again; refused counts them.
	patient atomic.Bool
	refused atomic.Int64
	// filled counts live bytes, those of a fill under way included.
	filled atomic.Int64
	// put counts the bytes of all that was written in a step.
	put atomic.Int64
	// objects and busy are how many there were, and the processor time, before a fill.
	objects int
	busy    time.Duration
	// carriedDisk and carriedCPU are what processes that were ended within the step have used, less what this one had
	// used before the step.
	carriedDisk float64
	carriedCPU  time.Duration
	compactor   Compactor

	events atomic.Int64
	shared sharedLease
}

// sizeMain is the command "size".
func sizeMain(args []string) {
	var o SizeOptions
	steps := ""
	flags := flag.NewFlagSet("size", flag.ExitOnError)
	flags.StringVar(&o.Etcd, "etcd", "../conformance/bin/etcd", "etcd 3.7.1")
	flags.StringVar(&o.Meridian, "meridian", "../target/release/meridian", "the server under test")
	flags.StringVar(&o.Only, "only", "", "climb with one server alone: etcd or meridian")
	flags.StringVar(&o.Out, "out", "", "write size.md's table and its chart into this folder (docs)")
	flags.StringVar(&o.Dir, "dir", os.TempDir(), "where the servers keep their data meanwhile")
	flags.StringVar(&steps, "steps", "0.25,1,4,8,12", "GiB of live objects at each step")
	flags.Float64Var(&o.MaxSize, "max-size", 16, "leave out the steps above so many GiB")
	flags.Float64Var(&o.Quota, "quota", 8, "GiB of the quota that both servers start with: 8 is the most that etcd recommends")
	flags.Float64Var(&o.MaxMemory, "max-memory", 16, "GiB of memory, file pages not counted, at which a climb ends")
	flags.Float64Var(&o.MaxDisk, "max-disk", 32, "GB of disk at which a climb ends")
	flags.Float64Var(&o.Minutes, "minutes", 12, "minutes at which a server's climb ends")
	flags.IntVar(&o.Watchers, "watchers", 2_000, "watchers")
	flags.BoolVar(&o.Keep, "keep", false, "leave data and logs where they are")
	flags.DurationVar(&o.CompactEvery, "compact-every", 30*time.Second, "kube-apiserver's interval of compaction, shortened")
	_ = flags.Parse(args)
	checkOut(o.Out)
	for _, text := range strings.Split(steps, ",") {
		size, err := strconv.ParseFloat(text, 64)
		if err != nil {
			log.Fatal(err)
		}
		if size <= o.MaxSize {
			o.Steps = append(o.Steps, size)
		}
	}
	if len(o.Steps) == 0 {
		log.Fatalf("no step is as small as %g GiB", o.MaxSize)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var ascents []*Ascent
	for _, target := range targets(Options{Etcd: o.Etcd, Meridian: o.Meridian}) {
		if (o.Only == "" || o.Only == target.Name) && ctx.Err() == nil {
			ascents = append(ascents, climb(ctx, o, target))
		}
	}
	if err := publish(o, ascents); err != nil {
		log.Fatal(err)
	}
}

// climb takes one server up, and removes all that it left.
func climb(ctx context.Context, o SizeOptions, target Target) *Ascent {
	report := &Ascent{Server: target.Name}
	dir, err := os.MkdirTemp(o.Dir, "bench-size-")
	if err != nil {
		report.End = err.Error()
		return report
	}
	if !o.Keep {
		defer os.RemoveAll(dir)
	}
	c := &Climb{o: o, dir: dir, report: report,
		world: NewWorld(int64(slices.Max(o.Steps) * (1 << 30))),
		guard: &Guard{o: o, dir: dir, before: time.Now().Add(time.Duration(o.Minutes * float64(time.Minute)))}}
	c.compactor.every = o.CompactEvery
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.s = &Server{Target: target, dir: filepath.Join(dir, "data"), quota: int64(o.Quota * (1 << 30)), patience: 3 * time.Minute, stopped: c.ctx.Done()}
	defer func() { c.release(c.s.Kill) }()
	if _, err := c.restart(func() {}); err != nil {
		report.End = err.Error()
		return report
	}
	for _, size := range o.Steps {
		log.Printf("%s: %g GiB", target.Name, size)
		report.Steps = append(report.Steps, &Step{Size: size})
		if err := c.step(int64(size * (1 << 30))); err != nil {
			report.end(c, err)
			log.Printf("%s: %s", target.Name, report.End)
			return report
		}
	}
	report.End = fmt.Sprintf("did not break up to %g GiB, the last step of this run", slices.Max(o.Steps))
	return report
}

// step grows the store and measures. The first refusal for want of space raises the quota, and what was refused is
// tried again.
func (c *Climb) step(target int64) error {
	c.carriedDisk, c.carriedCPU = -c.s.Written(), -c.s.CPU()
	c.put.Store(0)
	fill := phase{"fill", true, func(ctx context.Context) error { return c.growth(ctx, target) }}
	for _, p := range append([]phase{fill}, c.phases()...) {
		err := c.run(p)
		if refusedForSpace(err) && c.s.quota != raised {
			if err = c.raise(); err == nil {
				err = c.run(p)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func refusedForSpace(err error) bool {
	return err != nil && strings.Contains(err.Error(), "database space exceeded")
}

// run is one phase, with kube-apiserver's compactor beside it if the phase says so.
func (c *Climb) run(p phase) error {
	ctx, cancel := context.WithCancel(c.ctx)
	var beside sync.WaitGroup
	if p.compacted {
		beside.Go(func() { c.compactor.Run(ctx, c.conns[0]) })
	}
	err := p.run(ctx)
	cancel()
	beside.Wait()
	if err != nil && !refusedForSpace(err) {
		// The guard knows better than a broken connection what happened.
		select {
		case <-c.ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if cause := context.Cause(c.ctx); cause != nil {
		return cause
	}
	return err
}

// growth is the fill and its speed.
func (c *Climb) growth(ctx context.Context, target int64) error {
	live, at := c.world.live, time.Now()
	c.objects, c.busy = c.world.filled, c.s.CPU()
	if err := c.fill(ctx, target); err != nil {
		return err
	}
	c.note("fill", "live objects", "MB/s", float64(c.world.live-live)/1e6/time.Since(at).Seconds())
	return nil
}

// rest waits until the server has done what the fill left it to do, half a minute at most: for an etcd compaction, for
// Meridian its checkpoint. All of it is part of what the fill cost.
func (c *Climb) rest(ctx context.Context) error {
	begin := time.Now()
	for idle := 0; idle < 2 && time.Since(begin) < 30*time.Second && ctx.Err() == nil; {
		before := c.s.CPU()
		time.Sleep(500 * time.Millisecond)
		if idle++; c.s.CPU()-before > 30*time.Millisecond {
			idle = 0
		}
	}
	c.note("fill", "server CPU until at rest again", "µs each object",
		float64((c.s.CPU()-c.busy).Microseconds())/float64(max(c.world.filled-c.objects, 1)))
	return nil
}

// raise notes where the first quota ended, and restarts the server with a larger one, as people do.
func (c *Climb) raise() error {
	ctx, cancel := context.WithTimeout(c.ctx, opTimeout)
	defer cancel()
	status, err := pb.NewMaintenanceClient(c.alone).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	c.report.Quota = fmt.Sprintf("refused writes at %s of live objects; its own size was %s then", gib(c.filled.Load()), gib(status.DbSize))
	log.Printf("  the quota is used up: %s", c.report.Quota)
	c.s.quota = raised
	c.carriedDisk += c.s.Written()
	c.carriedCPU += c.s.CPU()
	if _, err := c.restart(c.s.Stop); err != nil {
		return err
	}
	ctx, cancelDisarm := context.WithTimeout(c.ctx, opTimeout)
	defer cancelDisarm()
	_, err = pb.NewMaintenanceClient(c.alone).Alarm(ctx, &pb.AlarmRequest{
		MemberID: status.Header.MemberId, Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE})
	return err
}

// restart stops the server in the way given, starts it on its data, and connects anew.
func (c *Climb) restart(stop func()) (time.Duration, error) {
	c.release(stop)
	took, err := c.s.start()
	if err != nil {
		return took, err
	}
	for range 8 {
		c.conns = append(c.conns, c.s.Dial())
	}
	c.alone = c.s.Dial()
	var watch context.Context
	watch, c.unwatch = context.WithCancel(c.ctx)
	c.guarding.Go(func() { c.guard.Watch(watch, c.s, c.cancel) })
	return took, nil
}

// release lets the guard and the connections go, and then the server.
func (c *Climb) release(stop func()) {
	if c.unwatch != nil {
		c.unwatch()
		c.guarding.Wait()
	}
	for _, conn := range append(c.conns, c.alone) {
		if conn != nil {
			conn.Close()
		}
	}
	c.conns, c.alone = nil, nil
	stop()
}

// note keeps a figure of the current step.
func (c *Climb) note(group, name, unit string, value float64) {
	log.Printf("  %-40s %10s %s", group+", "+name, number(value), unit)
	c.report.last().add(group, Figure{name, unit, value})
}

func gib(bytes int64) string {
	return number(math.Round(float64(bytes)/(1<<30)*100)/100) + " GiB"
}

// end says in words why the climb ended, and whether that is a break.
func (a *Ascent) end(c *Climb, err error) {
	var limit *bound
	a.Broke = !errors.As(err, &limit) && !errors.Is(err, context.Canceled)
	verb := "broke"
	if !a.Broke {
		verb = "was stopped"
	}
	a.End = fmt.Sprintf("%s with %s of live objects: %v", verb, gib(c.filled.Load()), err)
}
