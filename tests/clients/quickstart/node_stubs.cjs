const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const definition = loader.loadSync("flagstaff/v1/evaluation_service.proto", { includeDirs: ["proto"], keepCase: true });
const { flagstaff } = grpc.loadPackageDefinition(definition);
const service = new flagstaff.v1.EvaluationService("127.0.0.1:8080", grpc.credentials.createInsecure());

const credential = new grpc.Metadata();
credential.set("authorization", `Bearer ${process.env.SECRET}`);
const subject = {
  distinct_id: "ann",
  person_properties: { fields: { country: { stringValue: "NZ" } } },
};
service.EvaluateFlags({ subject, flag_keys: ["checkout"] }, credential, { deadline: Date.now() + 2000 }, (error, answer) => {
  if (error) throw error;
  // A flag that is off, or not there, is not among them.
  const { checkout } = answer.flags;
  if (checkout?.enabled) console.log(`on for ann, with a ${JSON.parse(checkout.metadata.payload).button} button`);
  service.close();
});
