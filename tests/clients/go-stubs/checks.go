package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	flagstaff "flagstaff.dev/clients/stubs/gen/flagstaff/v1"
)

const subjects = 2000

var background = context.Background()

// typedFilters writes a flag with the generated types, which says in JSON what they say.
func typedFilters(service *service) (string, error) {
	countries, err := structpb.NewValue([]any{"AU", "NZ"})
	if err != nil {
		return "", err
	}
	property := func(key string, value *structpb.Value) *flagstaff.PropertyFilter {
		return &flagstaff.PropertyFilter{
			Key: key, Type: flagstaff.PropertyType_PROPERTY_TYPE_PERSON,
			Operator: flagstaff.PropertyOperator_PROPERTY_OPERATOR_EXACT, Value: value,
		}
	}
	written := &flagstaff.Filters{
		Groups: []*flagstaff.ConditionGroup{{
			Properties:        []*flagstaff.PropertyFilter{property("country", countries), property("seats", structpb.NewNumberValue(12))},
			RolloutPercentage: proto.Float64(33.5),
			Variant:           proto.String("blue"),
		}},
		Multivariate: &flagstaff.Multivariate{Variants: []*flagstaff.Variant{
			{Key: "blue", RolloutPercentage: proto.Float64(50)}, {Key: "green", RolloutPercentage: proto.Float64(50)},
		}},
	}
	answer, err := service.flags.CreateFeatureFlag(background, &flagstaff.CreateFeatureFlagRequest{
		ProjectId: project, FeatureFlag: &flagstaff.FeatureFlagInput{Key: proto.String("typed"), Filters: written},
	})
	if err != nil {
		return "", err
	}
	flag := answer.GetFeatureFlag()
	if !proto.Equal(flag.Filters.Groups[0], written.Groups[0]) {
		return "", fmt.Errorf("not what was written: %v", flag.Filters)
	}
	var stored struct {
		Groups []struct {
			Properties        []struct{ Value any }
			RolloutPercentage float64 `json:"rollout_percentage"`
		}
	}
	if err := json.Unmarshal([]byte(flag.FiltersJson), &stored); err != nil {
		return "", err
	}
	condition := stored.Groups[0]
	if !reflect.DeepEqual(condition.Properties[0].Value, []any{"AU", "NZ"}) || condition.RolloutPercentage != 33.5 {
		return "", fmt.Errorf("the JSON is %s", flag.FiltersJson)
	}
	return "numbers, lists and enums as JSON has them", nil
}

// deadline ends a stream that would go on.
func deadline(service *service) (string, error) {
	ctx, cancel := context.WithTimeout(background, 200*time.Millisecond)
	defer cancel()
	stream, err := service.evaluation.WatchFlags(ctx, &flagstaff.WatchFlagsRequest{ProjectId: project})
	for err == nil {
		_, err = stream.Recv()
	}
	return "DEADLINE_EXCEEDED", expect(err, codes.DeadlineExceeded)
}

// callMetadata reaches the service, and its answer has some of its own.
func callMetadata(service *service) (string, error) {
	const name = "0b0e4a5c-6f0d-4a39-9d57-5f2f0c8f6f11"
	ctx := metadata.AppendToOutgoingContext(background, "x-request-id", name)
	var told metadata.MD
	answer, err := service.evaluation.EvaluateFlags(ctx, &flagstaff.EvaluateFlagsRequest{
		ProjectId: project, Subject: &flagstaff.EvaluationSubject{DistinctId: "ann"},
	}, grpc.Header(&told))
	if err == nil && (answer.RequestId != name || len(told.Get("date")) == 0) {
		err = fmt.Errorf("%v with %v", answer, told)
	}
	return "x-request-id there and back", err
}

// credentials tries a key that is none, and one of too small a scope.
func credentials(*service) (string, error) {
	narrow, err := newKey("cohort:read")
	if err != nil {
		return "", err
	}
	for key, code := range map[string]codes.Code{"phx_none": codes.Unauthenticated, narrow: codes.PermissionDenied} {
		other, err := connect(key)
		if err != nil {
			return "", err
		}
		_, err = other.flags.ListFeatureFlags(background, &flagstaff.ListFeatureFlagsRequest{ProjectId: project})
		other.connection.Close()
		if err := expect(err, code); err != nil {
			return "", err
		}
	}
	return "UNAUTHENTICATED, PERMISSION_DENIED", nil
}

// errorDetails say what REST says, in the types that every language has.
func errorDetails(service *service) (string, error) {
	_, err := service.create(background, "no spaces")
	if err := expect(err, codes.InvalidArgument); err != nil {
		return "", err
	}
	info, bad, _ := details(err)
	if info.GetReason() != "invalid_key" || info.GetDomain() != "flagstaff" || info.GetMetadata()["http_status"] != "400" {
		return "", fmt.Errorf("ErrorInfo is %v", info)
	}
	if violations := bad.GetFieldViolations(); len(violations) != 1 || violations[0].Field != "key" {
		return "", fmt.Errorf("BadRequest is %v", bad)
	}
	return "ErrorInfo and BadRequest", nil
}

// retryInfo tells a throttled caller when to come back, in whole seconds.
func retryInfo(service *service) (string, error) {
	flag, err := service.create(background, "throttled")
	if err != nil {
		return "", err
	}
	key, err := newKey("feature_flag:read")
	if err != nil {
		return "", err
	}
	throttled, err := connect(key)
	if err != nil {
		return "", err
	}
	defer throttled.connection.Close()
	for call := 0; call < 241; call++ {
		_, err := throttled.flags.TestEvaluation(background, &flagstaff.TestEvaluationRequest{
			ProjectId: project, Id: flag.Id, DistinctId: proto.String("nobody"),
		})
		if status.Code(err) == codes.ResourceExhausted {
			info, _, retry := details(err)
			delay := retry.GetRetryDelay()
			if info.GetReason() != "throttled" || delay.GetNanos() != 0 || delay.GetSeconds() < 1 || delay.GetSeconds() > 60 {
				return "", fmt.Errorf("%v, %v", info, retry)
			}
			return fmt.Sprintf("RESOURCE_EXHAUSTED, again in %d s", delay.GetSeconds()), nil
		}
		if err := expect(err, codes.NotFound); err != nil {
			return "", err
		}
	}
	return "", errors.New("241 calls of test_evaluation were let through")
}

// batch evaluates for many subjects in one call, answered in order.
func batch(service *service) (string, error) {
	request := &flagstaff.BatchEvaluateFlagsRequest{ProjectId: project}
	for number := range subjects {
		request.Subjects = append(request.Subjects, &flagstaff.EvaluationSubject{DistinctId: fmt.Sprintf("person-%d", number)})
	}
	stream, err := service.evaluation.BatchEvaluateFlags(background, request)
	if err != nil {
		return "", err
	}
	for number := range subjects {
		answer, err := stream.Recv()
		if err != nil {
			return "", err
		}
		if int(answer.Index) != number || answer.DistinctId != request.Subjects[number].DistinctId {
			return "", fmt.Errorf("answer %d is %v", number, answer)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		return "", fmt.Errorf("after the last answer: %v", err)
	}
	return fmt.Sprintf("%d answers in order", subjects), nil
}

// sizes counts bytes of messages received, as they travelled and as they are.
type sizes struct{ travelled, whole atomic.Int64 }

func (*sizes) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*sizes) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*sizes) HandleConn(context.Context, stats.ConnStats)                       {}
func (sizes *sizes) HandleRPC(_ context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		sizes.travelled.Add(int64(payload.CompressedLength))
		sizes.whole.Add(int64(payload.Length))
	}
}

// compression sends requests in gzip, and gets answers in it.
func compression(*service) (string, error) {
	var sizes sizes
	compressed, err := connect(os.Getenv("FLAGSTAFF_KEY"),
		grpc.WithStatsHandler(&sizes), grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	if err != nil {
		return "", err
	}
	defer compressed.connection.Close()
	answer, err := compressed.flags.ListFeatureFlags(background, &flagstaff.ListFeatureFlagsRequest{ProjectId: project})
	if err != nil {
		return "", err
	}
	travelled, whole := sizes.travelled.Load(), sizes.whole.Load()
	if len(answer.Results) == 0 || travelled == 0 || travelled >= whole {
		return "", fmt.Errorf("%d bytes travelled of %d", travelled, whole)
	}
	return fmt.Sprintf("gzip, %d bytes for %d", travelled, whole), nil
}

// details of an error, nil where it has none.
func details(err error) (info *errdetails.ErrorInfo, bad *errdetails.BadRequest, retry *errdetails.RetryInfo) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			info = detail
		case *errdetails.BadRequest:
			bad = detail
		case *errdetails.RetryInfo:
			retry = detail
		}
	}
	return
}

// expect is an error unless that is of a code.
func expect(err error, code codes.Code) error {
	if status.Code(err) == code {
		return nil
	}
	return fmt.Errorf("%v, not %v", err, code)
}
