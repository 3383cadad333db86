terraform {
  required_providers {
    posthog = { source = "posthog/posthog" }
  }
}

# The key is read from POSTHOG_API_KEY.
provider "posthog" {
  host       = "http://127.0.0.1:8080"
  project_id = "1"
}

resource "posthog_feature_flag" "checkout" {
  key    = "managed-checkout"
  name   = "The new checkout"
  active = true
  # The provider writes this into the first condition, and without it goes on with the figure that it last read.
  rollout_percentage = 100
  filters = jsonencode({
    groups = [{
      properties         = [{ key = "country", type = "person", operator = "exact", value = ["AU", "NZ"] }]
      rollout_percentage = 100
    }]
  })
}
