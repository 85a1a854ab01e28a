package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watchStream is one client's Watch stream to one side. A goroutine reads it all the time, so
// the server never sees a slow reader; what came is kept per watcher, in order.
type watchStream struct {
	client pb.Watch_WatchClient
	cancel context.CancelFunc
	// token is the caller's when the stream was opened; pending the create request under way.
	token   string
	pending *pb.WatchCreateRequest
	tamper  func(*pb.WatchResponse) *pb.WatchResponse
	// asOne is the side's.
	asOne func(proto.Message)

	mu       sync.Mutex
	watchers []*watcher
	byID     map[int64]*watcher
	// ended are the watchers that a compaction canceled. etcd still knows their ids: it refuses
	// to give them again, and answers one more cancellation by the client.
	ended    map[int64]*watcher
	progress []*pb.WatchResponse
	broken   []string
	end      error
	lastSeen time.Time
	seen     int64
	events   int64
}

// watcher is one watch from its created response on.
type watcher struct {
	created  *pb.WatchResponse
	canceled *pb.WatchResponse
	request  *pb.WatchCreateRequest
	// denied tells that etcd has refused this very watch since; cut that the server has ended it.
	denied, cut bool
	// again is the answer to a client's cancellation after the server's own.
	again  *pb.WatchResponse
	events []*mvccpb.Event
	// newest is the mod_revision of the last event; a response may not go on with it, because
	// all events of a revision stand in one response, unless it is fragmented.
	newest   int64
	fragment bool
	notified int64
}

// openWatch opens a stream for the step's caller, who stays its caller.
func openWatch(side *Side, step Step) (*watchStream, error) {
	ctx, cancel := context.WithCancel(side.as(context.Background(), Step{As: step.As}))
	client, err := pb.NewWatchClient(side.at(step).conn).Watch(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	stream := &watchStream{client: client, cancel: cancel, byID: map[int64]*watcher{},
		ended: map[int64]*watcher{}, token: side.tokens[step.As],
		lastSeen: time.Now(), tamper: side.tamperWatch, asOne: side.asOne}
	go stream.read()
	return stream, nil
}

func (w *watchStream) read() {
	for {
		response, err := w.client.Recv()
		w.mu.Lock()
		w.lastSeen = time.Now()
		w.seen++
		if err != nil {
			w.end = err
			w.mu.Unlock()
			return
		}
		w.asOne(response)
		if w.tamper != nil {
			response = w.tamper(response)
		}
		if response != nil {
			w.take(response)
		}
		w.mu.Unlock()
	}
}

// take files one response under its watcher and checks what must hold on one side alone.
func (w *watchStream) take(response *pb.WatchResponse) {
	id := response.WatchId
	if response.Created {
		created := &watcher{created: response, request: w.pending}
		w.watchers = append(w.watchers, created)
		if !response.Canceled {
			if w.byID[id] != nil {
				w.fault("watch id %d is given twice", id)
			}
			w.byID[id] = created
		}
		return
	}
	if id == -1 && len(response.Events) == 0 && !response.Canceled {
		w.progress = append(w.progress, response)
		for _, each := range w.byID {
			each.notified = max(each.notified, response.Header.GetRevision())
		}
		return
	}
	target := w.byID[id]
	if late := w.ended[id]; target == nil && late != nil && response.Canceled {
		late.again = response
		delete(w.ended, id)
		return
	}
	if target == nil {
		w.fault("response for unknown watch id %d: %v", id, response)
		return
	}
	if response.Canceled {
		target.canceled = response
		delete(w.byID, id)
		if response.CompactRevision != 0 {
			w.ended[id] = target
		}
		return
	}
	w.takeEvents(target, response)
}

func (w *watchStream) takeEvents(target *watcher, response *pb.WatchResponse) {
	id := response.WatchId
	if len(response.Events) == 0 {
		target.notified = max(target.notified, response.Header.GetRevision())
		return
	}
	first := response.Events[0].Kv.ModRevision
	if first == target.newest && !target.fragment {
		w.fault("revision %d of watch %d is split", first, id)
	}
	if first <= target.notified {
		w.fault("watch %d: event at %d after progress at %d", id, first, target.notified)
	}
	for _, event := range response.Events {
		if event.Kv.ModRevision < target.newest {
			w.fault("watch %d goes back from %d to %d", id, target.newest, event.Kv.ModRevision)
		}
		target.newest = event.Kv.ModRevision
	}
	if response.Header.GetRevision() < target.newest {
		w.fault("watch %d: header %d before its event %d", id, response.Header.GetRevision(),
			target.newest)
	}
	target.fragment = response.Fragment
	target.events = append(target.events, response.Events...)
	w.events += int64(len(response.Events))
}

func (w *watchStream) fault(format string, values ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, values...))
}

// send passes a request on and waits, if it is one that the server answers, for the answer.
func (w *watchStream) send(request *pb.WatchRequest, limit time.Duration) error {
	w.mu.Lock()
	w.pending = request.GetCreateRequest()
	created := len(w.watchers)
	var cancels, late *watcher
	if cancel := request.GetCancelRequest(); cancel != nil {
		cancels, late = w.byID[cancel.WatchId], w.ended[cancel.WatchId]
	}
	w.mu.Unlock()
	if err := w.client.Send(request); err != nil {
		return err
	}
	switch {
	case request.GetCreateRequest() != nil:
		return w.wait(limit, func() bool { return len(w.watchers) > created })
	case cancels != nil:
		return w.wait(limit, func() bool { return cancels.canceled != nil })
	case late != nil:
		// Whether it is answered is what is compared.
		if err := w.wait(silence, func() bool { return late.again != nil }); err != errNoAnswer {
			return err
		}
	}
	return nil
}

// silence is how long to wait for an answer that may never come.
const silence = 300 * time.Millisecond

var errNoAnswer = errors.New("no answer on the watch stream")

func (w *watchStream) wait(limit time.Duration, done func() bool) error {
	deadline := time.Now().Add(limit)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		w.mu.Lock()
		ok, end := done(), w.end
		w.mu.Unlock()
		switch {
		case ok:
			return nil
		case end != nil:
			return end
		case time.Now().After(deadline):
			return errNoAnswer
		}
		time.Sleep(pause)
	}
}
