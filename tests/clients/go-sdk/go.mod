module flagstaff.dev/clients/go-sdk

go 1.25.0

require github.com/posthog/posthog-go v1.5.2
