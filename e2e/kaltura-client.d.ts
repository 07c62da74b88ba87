// The official client has no types of its own.
declare module "kaltura-client" {
  interface Call {
    execute<T>(client: Client): Promise<T>;
  }
  interface Batch extends Call {
    add(call: Call): Batch;
  }
  class Client {
    constructor(config: Configuration);
    setKs(ks: string | null): this;
    startMultiRequest(): Batch;
  }
  class Configuration {
    serviceUrl: string;
    setLogger(logger: object): void;
  }
  type Service = Record<string, (...params: unknown[]) => Call>;
  const kaltura: {
    Client: typeof Client;
    Configuration: typeof Configuration;
    services: Record<"appToken" | "baseEntry" | "dropFolder" | "flavorAsset" | "media" | "session" | "system" | "thumbAsset" | "uploadToken" | "user", Service>;
    objects: Record<string, new (values?: object) => object>;
    enums: Record<string, Record<string, unknown>>;
  };
  export default kaltura;
}
