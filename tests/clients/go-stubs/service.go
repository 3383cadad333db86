package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	flagstaff "flagstaff.dev/clients/stubs/gen/flagstaff/v1"
)

var project = os.Getenv("FLAGSTAFF_PROJECT")

// service is the clients of all services over one connection, and the methods that were called.
type service struct {
	connection *grpc.ClientConn
	flags      flagstaff.FeatureFlagServiceClient
	evaluation flagstaff.EvaluationServiceClient

	lock   sync.Mutex
	called map[string]bool
}

// bearer sends a key with each call.
type bearer string

func (key bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(key)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

func connect(key string, options ...grpc.DialOption) (*service, error) {
	made := &service{called: map[string]bool{}}
	options = append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(bearer(key)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
			connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
			made.note(method)
			return invoke(ctx, method, request, reply, connection, options...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn,
			method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
			made.note(method)
			return open(ctx, description, connection, method, options...)
		}),
	)
	connection, err := grpc.NewClient(os.Getenv("FLAGSTAFF_GRPC"), options...)
	if err != nil {
		return nil, err
	}
	made.connection = connection
	made.flags = flagstaff.NewFeatureFlagServiceClient(connection)
	made.evaluation = flagstaff.NewEvaluationServiceClient(connection)
	return made, nil
}

func (service *service) note(method string) {
	service.lock.Lock()
	defer service.lock.Unlock()
	service.called[method] = true
}

// create makes a flag of which only the key is said.
func (service *service) create(ctx context.Context, key string) (*flagstaff.FeatureFlag, error) {
	answer, err := service.flags.CreateFeatureFlag(ctx, &flagstaff.CreateFeatureFlagRequest{
		ProjectId: project, FeatureFlag: &flagstaff.FeatureFlagInput{Key: &key},
	}, grpc.WaitForReady(true))
	return answer.GetFeatureFlag(), err
}

// control asks the runner for something: `/restart` of the service, or a command of its binary.
func control(path string, words ...string) (string, error) {
	body, err := json.Marshal(words)
	if err != nil {
		return "", err
	}
	answer, err := http.Post(os.Getenv("FLAGSTAFF_CONTROL")+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s: %s", path, answer.Status, said)
	}
	return string(said), err
}

// newKey makes a personal API key of this project alone, by the command line.
func newKey(scopes string) (string, error) {
	said, err := control("/flagstaff", "keys", "create", "--project", project, "--scopes", scopes)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return lines[len(lines)-1], err
}
