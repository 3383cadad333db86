curl -sS http://127.0.0.1:8080/api/projects/1/feature_flags/ \
  -H "authorization: Bearer $KEY" -H 'content-type: application/json' \
  -d '{"key": "checkout", "filters": {
    "groups": [{"rollout_percentage": 100, "properties": [
      {"key": "country", "type": "person", "operator": "exact", "value": ["AU", "NZ"]}]}],
    "payloads": {"true": "{\"button\": \"green\"}"}}}'
