grpcurl -plaintext 127.0.0.1:8080 list
grpcurl -plaintext -H "authorization: Bearer $SECRET" \
  -d '{"flag_key": "checkout", "subject": {"distinct_id": "ann", "person_properties": {"country": "NZ"}}}' \
  127.0.0.1:8080 flagstaff.v1.EvaluationService/EvaluateFlag
