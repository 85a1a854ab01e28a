package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Step is one request of a script. It holds nothing that a fresh pair of servers could not be
// asked again, so a script can be cut, saved and repeated.
type Step struct {
	// Method is the gRPC path, or closeStream.
	Method string
	// Request is the message to send; nil when Raw is sent instead.
	Request proto.Message
	// Raw are bytes that stand where a message should: malformed bodies and unknown methods.
	Raw []byte
	// Pad replaces the value of a Put by this many bytes, so that scripts stay readable.
	Pad int
	// Stream numbers the watch stream that a Watch request goes to.
	Stream int
	// As numbers the caller whose token goes with the request; 0 is nobody.
	As int
	// Gateway sends the request as JSON over HTTP, in one of its forms.
	Gateway int
	// Limit, in milliseconds, makes running out of time an answer.
	Limit int
	// HasLeader sends etcd's metadata "hasleader: true".
	HasLeader bool
	// Door numbers the replica that is asked, if there are several.
	Door int
}

const (
	watchMethod     = "/etcdserverpb.Watch/Watch"
	keepAliveMethod = "/etcdserverpb.Lease/LeaseKeepAlive"
	streamMethod    = "/etcdserverpb.KV/RangeStream"
	// closeStream is no gRPC method: it drops a watch stream with everything on it.
	closeStream = "close-stream"
)

// String is the line of a script file; parseStep reads it back.
func (s Step) String() string {
	var line strings.Builder
	line.WriteString(s.Method)
	if s.Method == watchMethod || s.Method == closeStream {
		fmt.Fprintf(&line, " @stream=%d", s.Stream)
	}
	if s.Pad > 0 {
		fmt.Fprintf(&line, " @pad=%d", s.Pad)
	}
	for _, option := range []struct {
		name  string
		value int
	}{{"as", s.As}, {"json", s.Gateway}, {"limit", s.Limit}, {"door", s.Door}} {
		if option.value != 0 {
			fmt.Fprintf(&line, " @%s=%d", option.name, option.value)
		}
	}
	if s.HasLeader {
		line.WriteString(" @hasleader=1")
	}
	if s.Request == nil {
		if s.Method != closeStream {
			fmt.Fprintf(&line, " @raw=%s", hex.EncodeToString(s.Raw))
		}
		return line.String()
	}
	line.WriteString(" ")
	line.WriteString(prototext.MarshalOptions{}.Format(s.Request))
	return strings.TrimRight(line.String(), " ")
}

// parseStep reads a line that String wrote.
func parseStep(line string) (Step, error) {
	method, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	step := Step{Method: method}
	raw := method == closeStream
	for strings.HasPrefix(rest, "@") {
		var option string
		option, rest, _ = strings.Cut(rest, " ")
		name, value, _ := strings.Cut(option[1:], "=")
		if name == "raw" {
			raw = true
			bytes, err := hex.DecodeString(value)
			if err != nil {
				return step, err
			}
			step.Raw = bytes
			continue
		}
		number, err := strconv.Atoi(value)
		if err != nil {
			return step, fmt.Errorf("option %q: %w", option, err)
		}
		if err := step.option(name, number); err != nil {
			return step, err
		}
	}
	if raw {
		return step, nil
	}
	input, _, err := messages(method)
	if err != nil {
		return step, err
	}
	step.Request = input
	return step, prototext.Unmarshal([]byte(rest), input)
}

func (s *Step) option(name string, number int) error {
	switch name {
	case "stream":
		s.Stream = number
	case "pad":
		s.Pad = number
	case "as":
		s.As = number
	case "json":
		s.Gateway = number
	case "limit":
		s.Limit = number
	case "door":
		s.Door = number
	case "hasleader":
		s.HasLeader = number == 1
	default:
		return fmt.Errorf("unknown option %q", name)
	}
	return nil
}

// body is the message to send, with the padding put in.
func (s Step) body() proto.Message {
	put, ok := s.Request.(*pb.PutRequest)
	if !ok || s.Pad == 0 {
		return s.Request
	}
	padded := proto.Clone(put).(*pb.PutRequest)
	padded.Value = bytes.Repeat([]byte{'x'}, s.Pad)
	return padded
}

// messages makes an empty request and reply of a gRPC method.
func messages(path string) (request, reply proto.Message, err error) {
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, nil, fmt.Errorf("method %s: %w", path, err)
	}
	method, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not a method", path)
	}
	request, err = newMessage(method.Input())
	if err != nil {
		return nil, nil, err
	}
	reply, err = newMessage(method.Output())
	return request, reply, err
}

func newMessage(descriptor protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}
