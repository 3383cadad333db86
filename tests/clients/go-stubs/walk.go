package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The steps that call every RPC. A step gives a request as protobuf JSON. `$name` stands for what an
// earlier step kept of its answer; an answer is held against paths of it, where `*` is anything that
// is not empty.
//
//go:embed walk.json
var walkJSON []byte

type step struct {
	Call     string
	Request  map[string]any
	Keep     map[string]string
	Answer   map[string]any
	Code     string
	Messages int
}

// walk takes all steps, and tells how many RPCs they called, if that is all there are.
func walk(service *service) (string, error) {
	var all struct{ Steps []step }
	if err := json.Unmarshal(walkJSON, &all); err != nil {
		return "", err
	}
	kept := map[string]string{"$project": project}
	for index, step := range all.Steps {
		if err := take(service, step, kept); err != nil {
			return "", fmt.Errorf("step %d, %s: %w", index+1, step.Call, err)
		}
	}
	methods := methods()
	var missing []string
	for name, method := range methods {
		if !service.called[path(method)] {
			missing = append(missing, name)
		}
	}
	if sort.Strings(missing); missing != nil {
		return "", fmt.Errorf("not called: %s", strings.Join(missing, ", "))
	}
	return fmt.Sprintf("%d of %d, in %d calls", len(methods), len(methods), len(all.Steps)), nil
}

// methods are those of every service of the package, by `Service.Method`.
func methods() map[string]protoreflect.MethodDescriptor {
	found := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage("flagstaff.v1", func(file protoreflect.FileDescriptor) bool {
		for s := 0; s < file.Services().Len(); s++ {
			service := file.Services().Get(s)
			for m := 0; m < service.Methods().Len(); m++ {
				method := service.Methods().Get(m)
				found[string(service.Name()+"."+method.Name())] = method
			}
		}
		return true
	})
	return found
}

func path(method protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
}

func take(service *service, step step, kept map[string]string) error {
	answer, err := call(service, step, filled(step.Request, kept))
	if step.Code != "" {
		if named := code(status.Code(err)); named != step.Code {
			return fmt.Errorf("%s, not %s", named, step.Code)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for name, place := range step.Keep {
		kept["$"+name] = text(found(answer, place))
	}
	for place, wanted := range step.Answer {
		place, wanted := fill(place, kept), filled(wanted, kept)
		value := text(found(answer, place))
		if empty := value == "" || value == "null" || value == "[]" || value == "0"; wanted == "*" && empty {
			return fmt.Errorf("%s is empty", place)
		} else if wanted != "*" && value != text(wanted) {
			return fmt.Errorf("%s is %s, not %s", place, value, text(wanted))
		}
	}
	return nil
}

// call sends one request and returns the answer, or `messages` of a stream, as JSON.
func call(service *service, step step, body any) (any, error) {
	method := methods()[step.Call]
	request, reply := message(method.Input()), message(method.Output())
	text, err := json.Marshal(body)
	if err == nil {
		err = protojson.Unmarshal(text, request)
	}
	if err != nil {
		return nil, err
	}
	if field := method.Input().Fields().ByName("project_id"); field != nil {
		request.ProtoReflect().Set(field, protoreflect.ValueOfString(project))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if !method.IsStreamingServer() {
		if err := service.connection.Invoke(ctx, path(method), request, reply); err != nil {
			return nil, err
		}
		return asJSON(reply)
	}
	return streamed(ctx, service, method, request, step.Messages)
}

func streamed(ctx context.Context, service *service, method protoreflect.MethodDescriptor, request proto.Message, most int) (any, error) {
	stream, err := service.connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path(method))
	if err == nil {
		err = errors.Join(stream.SendMsg(request), stream.CloseSend())
	}
	var messages []any
	for err == nil && (most == 0 || len(messages) < most) {
		reply := message(method.Output())
		if err = stream.RecvMsg(reply); err == nil {
			var told any
			told, err = asJSON(reply)
			messages = append(messages, told)
		}
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	return map[string]any{"messages": messages}, nil
}

func message(described protoreflect.MessageDescriptor) proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(described.FullName())
	if err != nil {
		panic(err)
	}
	return kind.New().Interface()
}

func asJSON(message proto.Message) (any, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	return decoded(text)
}

func decoded(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}

// filled is the same JSON with `$name`, alone or as a part of a path, replaced by what was kept.
func filled(value any, kept map[string]string) any {
	switch value := value.(type) {
	case map[string]any:
		made := map[string]any{}
		for key, inner := range value {
			made[fill(key, kept)] = filled(inner, kept)
		}
		return made
	case []any:
		made := []any{}
		for _, inner := range value {
			made = append(made, filled(inner, kept))
		}
		return made
	case string:
		return fill(value, kept)
	}
	return value
}

// fill leaves what begins with `$` and was never kept: names of events and properties.
func fill(text string, kept map[string]string) string {
	parts := strings.Split(text, ".")
	for index, part := range parts {
		if value, ok := kept[part]; ok {
			parts[index] = value
		}
	}
	return strings.Join(parts, ".")
}

func found(answer any, place string) any {
	for _, part := range strings.Split(place, ".") {
		switch held := answer.(type) {
		case map[string]any:
			answer = held[part]
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index >= len(held) {
				return nil
			}
			answer = held[index]
		default:
			return nil
		}
	}
	return answer
}

func text(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, _ := json.Marshal(value)
	return string(text)
}

// code names a code as the gRPC specification does.
func code(code codes.Code) string {
	names := map[codes.Code]string{
		codes.OK: "OK", codes.NotFound: "NOT_FOUND", codes.FailedPrecondition: "FAILED_PRECONDITION",
	}
	if name, ok := names[code]; ok {
		return name
	}
	return code.String()
}
