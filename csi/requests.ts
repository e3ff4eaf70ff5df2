// What is read of the requests, one schema each. The members are those of csi.proto, in camelCase; see grpc-services.ts for how absent ones look.
import { type Static, type TSchema, Type } from 'typebox';

const texts = Type.Record(Type.String(), Type.String());
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const Nothing = Type.Object({});

export const CapacityRange = Type.Object({ requiredBytes: Type.String(), limitBytes: Type.String() });
export type CapacityRange = Static<typeof CapacityRange>;

export const VolumeCapability = Type.Object({
  block: Type.Optional(Nothing),
  mount: Type.Optional(
    Type.Object({ fsType: Type.String(), mountFlags: Type.Array(Type.String()), volumeMountGroup: Type.String() }),
  ),
  accessMode: orNull(Type.Object({ mode: Type.Union([Type.String(), Type.Number()]) })),
});
export type VolumeCapability = Static<typeof VolumeCapability>;

export const Topology = Type.Object({ segments: texts });
export type Topology = Static<typeof Topology>;

export const CreateVolumeRequest = Type.Object({
  name: Type.String(),
  capacityRange: orNull(CapacityRange),
  volumeCapabilities: Type.Array(VolumeCapability),
  parameters: texts,
  volumeContentSource: orNull(Nothing),
  accessibilityRequirements: orNull(Type.Object({ requisite: Type.Array(Topology), preferred: Type.Array(Topology) })),
  mutableParameters: texts,
});
export type CreateVolumeRequest = Static<typeof CreateVolumeRequest>;

export const VolumeRequest = Type.Object({ volumeId: Type.String() });

export const ListVolumesRequest = Type.Object({ maxEntries: Type.Integer(), startingToken: Type.String() });

export const ValidateVolumeCapabilitiesRequest = Type.Object({
  volumeId: Type.String(),
  volumeContext: texts,
  volumeCapabilities: Type.Array(VolumeCapability),
  parameters: texts,
  mutableParameters: texts,
});

export type ValidateVolumeCapabilitiesRequest = Static<typeof ValidateVolumeCapabilitiesRequest>;

export const GetCapacityRequest = Type.Object({
  volumeCapabilities: Type.Array(VolumeCapability),
  parameters: texts,
  accessibleTopology: orNull(Topology),
});

export const NodeStageRequest = Type.Object({
  volumeId: Type.String(),
  stagingTargetPath: Type.String(),
  volumeCapability: orNull(VolumeCapability),
});

export const NodeUnstageRequest = Type.Object({ volumeId: Type.String(), stagingTargetPath: Type.String() });

export const ControllerExpandRequest = Type.Object({
  volumeId: Type.String(),
  capacityRange: orNull(CapacityRange),
  volumeCapability: orNull(VolumeCapability),
});
export type ControllerExpandRequest = Static<typeof ControllerExpandRequest>;

export const NodeExpandRequest = Type.Object({
  volumeId: Type.String(),
  volumePath: Type.String(),
  capacityRange: orNull(CapacityRange),
  volumeCapability: orNull(VolumeCapability),
});
export type NodeExpandRequest = Static<typeof NodeExpandRequest>;

export const NodePublishRequest = Type.Object({
  volumeId: Type.String(),
  stagingTargetPath: Type.String(),
  targetPath: Type.String(),
  volumeCapability: orNull(VolumeCapability),
  readonly: Type.Boolean(),
});
export type NodePublishRequest = Static<typeof NodePublishRequest>;

export const NodeUnpublishRequest = Type.Object({ volumeId: Type.String(), targetPath: Type.String() });

export const NodeStatsRequest = Type.Object({ volumeId: Type.String(), volumePath: Type.String() });

export const RegistrationStatus = Type.Object({ pluginRegistered: Type.Boolean(), error: Type.String() });
