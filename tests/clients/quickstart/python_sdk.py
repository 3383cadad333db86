import os

from posthog import Posthog

# Asks the service: one request for all flags.
client = Posthog(os.environ["TOKEN"], host="http://127.0.0.1:8080")
flags = client.evaluate_flags("ann", person_properties={"country": "NZ"})
if flags.is_enabled("checkout"):
    print("on for ann, with a", flags.get_flag_payload("checkout")["button"], "button")
client.shutdown()

# Decides by itself, from definitions that it fetches every 30 seconds.
local = Posthog(os.environ["TOKEN"], host="http://127.0.0.1:8080", secret_key=os.environ["SECRET"])
flags = local.evaluate_flags("ben", person_properties={"country": "FR"})
print("on for ben" if flags.is_enabled("checkout") else "off for ben")
local.shutdown()
