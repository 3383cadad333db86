package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	flagstaff "flagstaff.dev/clients/stubs/gen/flagstaff/v1"
)

// follower holds a project's flags, by key, and the revision they are at.
type follower struct {
	service        *service
	flags, pending map[string]bool
	revision       *int64
	kinds          []string
	stream         grpc.ServerStreamingClient[flagstaff.WatchFlagsResponse]
}

// follow reads events until a condition holds, through as many streams as it takes.
func (follower *follower) follow(ctx context.Context, until func(map[string]bool) bool) error {
	for !until(follower.flags) {
		err := follower.step(ctx)
		if status.Code(err) == codes.Unavailable {
			follower.kinds = append(follower.kinds, "reconnected")
			follower.stream = nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (follower *follower) step(ctx context.Context) (err error) {
	if follower.stream == nil {
		request := &flagstaff.WatchFlagsRequest{ProjectId: project, FromRevision: follower.revision}
		if follower.stream, err = follower.service.evaluation.WatchFlags(ctx, request, grpc.WaitForReady(true)); err != nil {
			return err
		}
	}
	event, err := follower.stream.Recv()
	if err != nil {
		return err
	}
	follower.take(event)
	return nil
}

func (follower *follower) take(message *flagstaff.WatchFlagsResponse) {
	switch event := message.Event.(type) {
	case *flagstaff.WatchFlagsResponse_Snapshot:
		follower.kinds = append(follower.kinds, "snapshot")
		for _, flag := range event.Snapshot.Definitions.Flags {
			follower.pending[flag.Key] = flag.Active
		}
		if event.Snapshot.HasMore {
			return
		}
		follower.flags, follower.pending = follower.pending, map[string]bool{}
	case *flagstaff.WatchFlagsResponse_Delta:
		follower.kinds = append(follower.kinds, "delta")
		for _, flag := range event.Delta.Removed {
			delete(follower.flags, flag.Key)
		}
		for _, flag := range event.Delta.Upserted {
			follower.flags[flag.Key] = flag.Active
		}
	case *flagstaff.WatchFlagsResponse_Shutdown:
		follower.kinds = append(follower.kinds, "shutdown")
	}
	follower.revision = &message.Revision
}

// watch gives a snapshot first, then what changes.
func watch(service *service) (string, error) {
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	flag, err := service.create(ctx, "watched")
	if err != nil {
		return "", err
	}
	follower := &follower{service: service, pending: map[string]bool{}}
	if err := follower.follow(ctx, func(flags map[string]bool) bool { return flags["watched"] }); err != nil {
		return "", err
	}
	if _, err := service.flags.DisableFeatureFlag(ctx, &flagstaff.DisableFeatureFlagRequest{ProjectId: project, Id: flag.Id}); err != nil {
		return "", err
	}
	if err := follower.follow(ctx, func(flags map[string]bool) bool { return !flags["watched"] }); err != nil {
		return "", err
	}
	if _, err := service.flags.DeleteFeatureFlag(ctx, &flagstaff.DeleteFeatureFlagRequest{ProjectId: project, Id: flag.Id}); err != nil {
		return "", err
	}
	gone := func(flags map[string]bool) bool { _, there := flags["watched"]; return !there }
	if err := follower.follow(ctx, gone); err != nil {
		return "", err
	}
	if follower.kinds[0] != "snapshot" || slices.Contains(follower.kinds[1:], "snapshot") {
		return "", fmt.Errorf("events: %v", follower.kinds)
	}
	return "a change and a removal, as deltas", nil
}

// restart stops the service and starts it again; what changed while nobody listened comes as a delta.
func restart(service *service) (string, error) {
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	follower := &follower{service: service, pending: map[string]bool{}}
	if _, err := service.create(ctx, "before-restart"); err != nil {
		return "", err
	}
	if err := follower.follow(ctx, func(flags map[string]bool) bool { return flags["before-restart"] }); err != nil {
		return "", err
	}
	follower.kinds = nil
	if _, err := control("/restart"); err != nil {
		return "", err
	}
	if _, err := service.create(ctx, "after-restart"); err != nil {
		return "", err
	}
	if err := follower.follow(ctx, func(flags map[string]bool) bool { return flags["after-restart"] }); err != nil {
		return "", err
	}
	seen := func(kind string) bool { return slices.Contains(follower.kinds, kind) }
	if !seen("shutdown") || !seen("reconnected") || seen("snapshot") || !follower.flags["before-restart"] {
		return "", fmt.Errorf("events: %v", follower.kinds)
	}
	return "a shutdown notice, UNAVAILABLE, then the delta that was missed", nil
}
