package main

import (
	"bytes"
	"fmt"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Diff is one place where the two sides' answers to a step differ.
type Diff struct {
	// Step is the request's place in the script.
	Step int
	// Method is the step's method.
	Method string
	// Path names the field, with indexes: "kvs[2].lease".
	Path string
	// Want is etcd's value, Got the other's.
	Want, Got any
	// Range is the request behind the range reply that Path lies in, if any.
	Range *pb.RangeRequest
	// Compactions are the revisions that were compacted to so far, the last one in Compacted.
	Compactions map[int64]bool
	Compacted   int64
	// Renewed are the leases that Lock and Election calls have renewed at moments of their own.
	Renewed map[int64]bool
	// Silenced is set when etcd gave no progress notice on a stream with a watcher that was compacted.
	Silenced bool
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// signature is what stays the same when a script is shrunk.
func (d Diff) signature() string {
	return d.Method + " " + indexes.ReplaceAllString(d.Path, "[]")
}

func (d Diff) String() string {
	return fmt.Sprintf("step %d %s: %s: etcd %s, other %s", d.Step, d.Method, d.Path,
		readable(d.Want), readable(d.Got))
}

const readableLimit = 400

func readable(value any) string {
	text := fmt.Sprintf("%v", value)
	if raw, ok := value.([]byte); ok {
		text = fmt.Sprintf("%q", raw)
	}
	if len(text) > readableLimit {
		return fmt.Sprintf("%s… (%d bytes)", text[:readableLimit], len(text))
	}
	return text
}

// compareOutcomes lists every difference between the answers to one step.
func compareOutcomes(step Step, want, got Outcome) []Diff {
	var diffs []Diff
	emit := func(path string, a, b any, within *pb.RangeRequest) {
		diffs = append(diffs, Diff{Method: step.Method, Path: path, Want: a, Got: b, Range: within})
	}
	limited := step.Limit > 0 && want.Code == codes.DeadlineExceeded && got.Code == want.Code
	if !limited && (harnessGaveUp(want) || harnessGaveUp(got)) {
		emit("no answer", want.Text, got.Text, nil)
	}
	if want.Code != got.Code {
		emit("code", fmt.Sprintf("%v %q", want.Code, want.Text),
			fmt.Sprintf("%v %q", got.Code, got.Text), nil)
	} else if want.Text != got.Text && !limited {
		emit("text", want.Text, got.Text, nil)
	}
	// Of another code the status and the fields follow, and whoever explains that explains them.
	if want.HTTP != got.HTTP && !limited && want.Code == got.Code {
		emit("http", want.HTTP, got.HTTP, nil)
	}
	for _, rule := range want.Broken {
		emit("broken by etcd", rule, "", nil)
	}
	for _, rule := range got.Broken {
		emit("broken", "", rule, nil)
	}
	if want.Reply == nil || got.Reply == nil || want.Code != got.Code || want.Code != 0 {
		return diffs
	}
	a, b := canonical(step, want.Reply), canonical(step, got.Reply)
	switch request := step.Request.(type) {
	case *pb.RangeRequest:
		compareMessages("", a.ProtoReflect(), b.ProtoReflect(), request, emit)
	case *pb.TxnRequest:
		compareTxn("", request, a.(*pb.TxnResponse), b.(*pb.TxnResponse), emit)
	default:
		compareMessages("", a.ProtoReflect(), b.ProtoReflect(), nil, emit)
	}
	return diffs
}

type emitDiff func(path string, want, got any, within *pb.RangeRequest)

// compareTxn compares operation by operation, so that each range reply is judged with its own
// request at hand.
func compareTxn(path string, request *pb.TxnRequest, a, b *pb.TxnResponse, emit emitDiff) {
	ops := request.Success
	if !a.Succeeded {
		ops = request.Failure
	}
	if a.Succeeded != b.Succeeded || len(a.Responses) != len(b.Responses) ||
		len(a.Responses) != len(ops) {
		compareMessages(path, a.ProtoReflect(), b.ProtoReflect(), nil, emit)
		return
	}
	for i, op := range ops {
		inner := fmt.Sprintf("%sresponses[%d].", path, i)
		x, y := a.Responses[i], b.Responses[i]
		nested := op.GetRequestTxn()
		if nested != nil && x.GetResponseTxn() != nil && y.GetResponseTxn() != nil {
			compareTxn(inner, nested, x.GetResponseTxn(), y.GetResponseTxn(), emit)
			continue
		}
		compareMessages(inner, x.ProtoReflect(), y.ProtoReflect(), op.GetRequestRange(), emit)
	}
	compareMessages(path, withoutResponses(a), withoutResponses(b), nil, emit)
}

func withoutResponses(response *pb.TxnResponse) protoreflect.Message {
	return (&pb.TxnResponse{Header: response.Header, Succeeded: response.Succeeded}).ProtoReflect()
}

// compareMessages walks two messages of one type and reports each differing field, unknown
// fields and presence included.
func compareMessages(path string, a, b protoreflect.Message, within *pb.RangeRequest,
	emit emitDiff) {
	if !bytes.Equal(a.GetUnknown(), b.GetUnknown()) {
		emit(path+"unknown fields", []byte(a.GetUnknown()), []byte(b.GetUnknown()), within)
	}
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := path + string(field.Name())
		x, y := a.Get(field), b.Get(field)
		switch {
		case field.IsList():
			compareLists(name, field, x.List(), y.List(), within, emit)
		case field.HasPresence() && a.Has(field) != b.Has(field):
			emit(name, presence(a, field), presence(b, field), within)
		case field.Message() != nil:
			if a.Has(field) {
				compareMessages(name+".", x.Message(), y.Message(), within, emit)
			}
		case !x.Equal(y):
			emit(name, x.Interface(), y.Interface(), within)
		}
	}
}

func compareLists(name string, field protoreflect.FieldDescriptor, x, y protoreflect.List,
	within *pb.RangeRequest, emit emitDiff) {
	if x.Len() != y.Len() {
		emit(name, listText(field, x), listText(field, y), within)
		return
	}
	for i := range x.Len() {
		place := fmt.Sprintf("%s[%d]", name, i)
		if field.Message() != nil {
			compareMessages(place+".", x.Get(i).Message(), y.Get(i).Message(), within, emit)
		} else if !x.Get(i).Equal(y.Get(i)) {
			emit(place, x.Get(i).Interface(), y.Get(i).Interface(), within)
		}
	}
}

func listText(field protoreflect.FieldDescriptor, list protoreflect.List) string {
	text := fmt.Sprintf("%d:", list.Len())
	for i := range list.Len() {
		if field.Message() != nil {
			text += fmt.Sprintf(" {%v}", list.Get(i).Message().Interface())
		} else {
			text += fmt.Sprintf(" %v", list.Get(i).Interface())
		}
	}
	return text
}

func presence(message protoreflect.Message, field protoreflect.FieldDescriptor) string {
	if !message.Has(field) {
		return "absent"
	}
	if field.Message() != nil {
		return fmt.Sprintf("{%v}", proto.Message(message.Get(field).Message().Interface()))
	}
	return fmt.Sprint(message.Get(field).Interface())
}
