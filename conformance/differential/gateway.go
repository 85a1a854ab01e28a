package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// How a request is written in JSON; the gateway takes them all.
const (
	gatewayProtoNames = 1 + iota
	gatewayCamel
	gatewayFull
	gatewayForms
)

// httpMethod is a step that is no gRPC method but a raw HTTP request: "http:POST:/v3/kv/put".
const httpMethod = "http:"

// routes are the gateway's paths by gRPC method, as the .proto files annotate them.
var routes = readRoutes()

func readRoutes() map[string][]string {
	found := map[string][]string{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
				if !ok || rule.GetPost() == "" {
					continue
				}
				name := fmt.Sprintf("/%s/%s", service.FullName(), method.Name())
				found[name] = append(found[name], rule.GetPost())
				for _, more := range rule.GetAdditionalBindings() {
					found[name] = append(found[name], more.GetPost())
				}
			}
		}
		return true
	})
	return found
}

// throughGateway tells whether a step has a form in JSON that is answered at once.
func throughGateway(step Step) bool {
	switch step.Method {
	case watchMethod, observeMethod, "/etcdserverpb.Maintenance/Snapshot":
		return false
	}
	return step.Request != nil && step.Pad == 0 && len(routes[step.Method]) > 0
}

func (s *Side) askGateway(ctx context.Context, step Step) Outcome {
	form := protojson.MarshalOptions{UseProtoNames: step.Gateway == gatewayProtoNames,
		EmitUnpopulated: step.Gateway == gatewayFull}
	body, err := form.Marshal(step.Request)
	if err != nil {
		return Outcome{Code: codes.Unknown, Text: "harness: " + err.Error()}
	}
	paths := routes[step.Method]
	return s.askHTTP(ctx, step, http.MethodPost, paths[len(body)%len(paths)], body)
}

func (s *Side) askHTTP(ctx context.Context, step Step, verb, path string, body []byte) Outcome {
	request, err := http.NewRequestWithContext(ctx, verb, "http://"+s.at(step).server.Endpoint+path,
		bytes.NewReader(body))
	if err != nil {
		return Outcome{Code: codes.Unknown, Text: "harness: " + err.Error()}
	}
	if step.HasLeader {
		request.Header.Set("Grpc-Metadata-hasleader", "true")
	}
	if token := s.tokens[step.As]; token != "" {
		request.Header.Set("Authorization", token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return Outcome{Code: codes.DeadlineExceeded, Text: ctx.Err().Error()}
		}
		return Outcome{Code: codes.Unknown, Text: "harness: " + err.Error()}
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return Outcome{Code: codes.Unknown, Text: "harness: " + err.Error()}
	}
	outcome := readJSON(step, response.StatusCode, raw)
	outcome.HTTP = fmt.Sprintf("%d %s%s", response.StatusCode, response.Header.Get("Content-Type"), outcome.HTTP)
	return outcome
}

// readJSON takes an answer apart: an error by its fields, a reply into its message, of which the
// JSON must be the one that protobuf's rules give.
func readJSON(step Step, status int, raw []byte) Outcome {
	_, reply, err := messages(step.Method)
	stream := step.Method == keepAliveMethod
	if stream && status == http.StatusOK {
		raw = unwrapResult(raw)
	}
	if status != http.StatusOK || err != nil || len(raw) == 0 {
		return readJSONError(raw)
	}
	outcome := Outcome{Reply: reply}
	if err := protojson.Unmarshal(raw, reply); err != nil {
		outcome.Reply = nil
		outcome.Broken = append(outcome.Broken, fmt.Sprintf("the JSON does not parse: %v: %s", err, raw))
		return outcome
	}
	exact, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(reply)
	if err != nil || !reflect.DeepEqual(anyJSON(exact), anyJSON(raw)) {
		outcome.Broken = append(outcome.Broken, fmt.Sprintf("not the JSON that protobuf's rules give: %s, but %s", exact, raw))
	}
	return outcome
}

// unwrapResult takes the first line's {"result": …} off.
func unwrapResult(raw []byte) []byte {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	var wrapped struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(line, &wrapped); err != nil || wrapped.Result == nil {
		return raw
	}
	return wrapped.Result
}

func readJSONError(raw []byte) Outcome {
	var body struct {
		Code    codes.Code `json:"code"`
		Message string     `json:"message"`
	}
	fields, ok := anyJSON(raw).(map[string]any)
	if !ok || json.Unmarshal(raw, &body) != nil {
		return Outcome{Code: codes.Unknown, Text: strings.TrimSpace(string(raw)), HTTP: " no JSON"}
	}
	names := make([]string, 0, len(fields))
	for name, value := range fields {
		names = append(names, fmt.Sprintf("%s:%T", name, value))
	}
	slices.Sort(names)
	// Go's parser varies its spacing on purpose.
	text := strings.Join(strings.Fields(body.Message), " ")
	return Outcome{Code: body.Code, Text: text, HTTP: " " + strings.Join(names, ",")}
}

func anyJSON(raw []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err.Error()
	}
	return value
}

// oddGateway sends what is no request, or none that the path takes.
func (g *generator) oddGateway() Step {
	path := pick(g, "/v3/kv/put", "/v3/kv/range", "/v3/kv/txn", "/v3/kv/deleterange")
	verb := pick(g, "POST", "POST", "POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "HEAD")
	body := pick(g, ``, `{}`, `{`, `[]`, `null`, `"a"`, `{"key":1}`, `{"key":"%%%"}`, `{"key":"YQ=="}`,
		`{"key":"YQ","value":"MQ"}`, `{"key":"YQ==","unknown":{"a":[1]}}`, `{"key":"YQ==","limit":"1"}`,
		`{"key":"YQ==","limit":1}`, `{"key":"YQ==","limit":1.5}`, `{"key":"YQ==","limit":"x"}`,
		`{"key":"YQ==","lease":null}`, `{"key":"YQ==","sort_order":"DESCEND"}`,
		`{"key":"YQ==","sortOrder":2}`, `{"key":"YQ==","sort_order":"DOWN"}`,
		`{"key":"-_8=","value":"_-8="}`, `{"key":"YQ==","key":"Yg=="}`, `{"key":"YQ=="} trailing`)
	switch {
	case g.chance(5):
		// Without an id the server would choose one, which differs.
		path, body = "/v3/lease/grant", pick(g, `{"TTL":"100000","ID":"900"}`, `{"TTL":100000,"ID":900}`)
	case g.chance(15):
		path = pick(g, "/v3/kv/nope", "/v3", "/v3/", "/v3/kv/put/", "/v3beta/kv/range", "/v3alpha/kv/range",
			"/v2/keys", "/", "/v3/kv/Range")
	}
	return Step{Method: httpMethod + verb + ":" + path, Raw: []byte(body)}
}

func (s *Side) askRawHTTP(ctx context.Context, step Step) Outcome {
	verb, path, _ := strings.Cut(strings.TrimPrefix(step.Method, httpMethod), ":")
	// What a good request is answered is read as the reply of the path's method.
	for method, paths := range routes {
		if slices.Contains(paths, strings.Replace(path, "/v3beta/", "/v3/", 1)) {
			step.Method = method
		}
	}
	return s.askHTTP(ctx, step, verb, path, step.Raw)
}
