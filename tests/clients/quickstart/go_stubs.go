package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	flagstaff "example.com/app/gen/flagstaff/v1"
)

func main() {
	connection, err := grpc.NewClient("127.0.0.1:8080", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Getenv("SECRET"))
	answer, err := flagstaff.NewEvaluationServiceClient(connection).EvaluateFlags(ctx, &flagstaff.EvaluateFlagsRequest{
		Subject: &flagstaff.EvaluationSubject{
			DistinctId:       "ann",
			PersonProperties: &structpb.Struct{Fields: map[string]*structpb.Value{"country": structpb.NewStringValue("NZ")}},
		},
		FlagKeys: []string{"checkout"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if flag := answer.Flags["checkout"]; flag.GetEnabled() {
		fmt.Println("on for ann, with", flag.GetMetadata().GetPayload())
	}
}
