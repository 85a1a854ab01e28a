package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	parentSpan  = "b7ad6b7169203331"
)

// A hearer is a collector made of OpenTelemetry's own messages.
type hearer struct {
	collector.UnimplementedTraceServiceServer
	sync.Mutex
	spans    []*trace.Span
	services map[string]bool
}

func (h *hearer) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	h.Lock()
	defer h.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, attribute := range resource.Resource.Attributes {
			if attribute.Key == "service.name" || attribute.Key == "service.instance.id" {
				h.services[attribute.Key+"="+attribute.Value.GetStringValue()] = true
			}
		}
		for _, scope := range resource.ScopeSpans {
			h.spans = append(h.spans, scope.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// own finds the span of a call that was made from our parent.
func (h *hearer) own() *trace.Span {
	h.Lock()
	defer h.Unlock()
	for _, span := range h.spans {
		if span.Kind == trace.Span_SPAN_KIND_SERVER && fmt.Sprintf("%x", span.ParentSpanId) == parentSpan {
			return span
		}
	}
	return nil
}

// checkTraces compares what a collector hears of one put whose client is followed.
func checkTraces(b binaries) (wrong []string, err error) {
	var heard [2]string
	for i, binary := range []string{b.etcd, b.meridian} {
		if heard[i], err = tell(binary); err != nil {
			return nil, err
		}
	}
	if heard[0] != heard[1] {
		wrong = append(wrong, fmt.Sprintf("%s, not %s", heard[1], heard[0]))
	}
	return wrong, nil
}

func tell(binary string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	hears := &hearer{services: map[string]bool{}}
	service := grpc.NewServer()
	collector.RegisterTraceServiceServer(service, hears)
	go service.Serve(listener)
	defer service.Stop()
	server, err := serve(binary, "--enable-distributed-tracing", "--distributed-tracing-instance-id=one",
		"--distributed-tracing-address="+listener.Addr().String())
	if err != nil {
		return "", err
	}
	defer server.stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.address}, Logger: zap.NewNop()})
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	parent := fmt.Sprintf("00-%s-%s-01", parentTrace, parentSpan)
	if _, err := client.Put(metadata.AppendToOutgoingContext(ctx, "traceparent", parent), "k", "v"); err != nil {
		return "", err
	}
	for ctx.Err() == nil {
		if span := hears.own(); span != nil {
			took := span.EndTimeUnixNano > span.StartTimeUnixNano
			return fmt.Sprintf("%s of %x, took time: %v, %v", span.Name, span.TraceId, took, hears.services), nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", fmt.Errorf("%s tells nothing of the call", binary)
}
