// Generated Go stubs against the service: a line for each capability.
package main

import (
	"fmt"
	"os"
	"strings"
)

var capabilities = []struct {
	name  string
	check func(*service) (string, error)
}{
	{"every RPC", walk},
	{"typed filters", typedFilters},
	{"metadata", callMetadata},
	{"credentials", credentials},
	{"error details", errorDetails},
	{"retry info", retryInfo},
	{"batch stream", batch},
	{"compression", compression},
	{"deadline", deadline},
	{"watch", watch},
	{"watch through a restart", restart},
}

func main() {
	service, err := connect(os.Getenv("FLAGSTAFF_KEY"))
	if err != nil {
		panic(err)
	}
	for _, capability := range capabilities {
		outcome := "ok"
		told, err := capability.check(service)
		if err != nil {
			outcome, told = "fail", strings.Join(strings.Fields(err.Error()), " ")
		}
		fmt.Printf("%s\t%s\t%s\n", capability.name, outcome, told)
	}
}
