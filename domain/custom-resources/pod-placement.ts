// On which nodes pods may run: node selector, affinity and tolerations, in Kubernetes' own shape.
import { Type } from 'typebox';
import { LabelSelector, Requirement } from '../kube-shapes.ts';
import {
  optionalAs,
  optionalInteger,
  optionalList,
  optionalObject,
  optionalText,
  optionalTextMap,
  optionalTexts,
  text,
} from '../schema-members.ts';

const atomicList = { 'x-kubernetes-list-type': 'atomic' } as const;
const atomicMap = { 'x-kubernetes-map-type': 'atomic' } as const;

const nodeRequirements = (description: string) =>
  optionalList(Requirement('In, NotIn, Exists, DoesNotExist, Gt or Lt'), description, atomicList);

const nodeSelectorTerm = {
  matchExpressions: nodeRequirements('requirements on labels of the node; all of them hold'),
  matchFields: nodeRequirements('requirements on fields of the node, such as metadata.name; all of them hold'),
};

const weight = () => Type.Integer({ description: 'how much it counts, 1 to 100', format: 'int32' });

const nodeAffinity = optionalObject('nodes by their labels and fields', {
  requiredDuringSchedulingIgnoredDuringExecution: Type.Optional(
    Type.Object(
      {
        nodeSelectorTerms: Type.Array(Type.Object(nodeSelectorTerm, atomicMap), {
          ...atomicList,
          description: 'terms, of which one at least holds',
        }),
      },
      { ...atomicMap, description: 'where the pod is scheduled, it must be so' },
    ),
  ),
  preferredDuringSchedulingIgnoredDuringExecution: optionalList(
    Type.Object({
      weight: weight(),
      preference: Type.Object(nodeSelectorTerm, { ...atomicMap, description: 'which nodes are preferred' }),
    }),
    'nodes are preferred by the sum of the weights of what holds',
    atomicList,
  ),
});

const podAffinityTerm = {
  topologyKey: text('label of nodes; nodes with the same value of it count as one place'),
  labelSelector: optionalAs(LabelSelector, 'which pods are meant'),
  namespaces: optionalTexts('namespaces of these pods; those of the pod itself where neither is given', atomicList),
  namespaceSelector: optionalAs(LabelSelector, 'namespaces of these pods, by their labels'),
  matchLabelKeys: optionalTexts('labels in which these pods are as the pod itself', atomicList),
  mismatchLabelKeys: optionalTexts('labels in which these pods are not as the pod itself', atomicList),
};

function podAffinity(description: string) {
  return optionalObject(description, {
    requiredDuringSchedulingIgnoredDuringExecution: optionalList(
      Type.Object(podAffinityTerm),
      'where the pod is scheduled, all of these must hold',
      atomicList,
    ),
    preferredDuringSchedulingIgnoredDuringExecution: optionalList(
      Type.Object({
        weight: weight(),
        podAffinityTerm: Type.Object(podAffinityTerm, { description: 'which places are preferred' }),
      }),
      'places are preferred by the sum of the weights of what holds',
      atomicList,
    ),
  });
}

const Toleration = Type.Object({
  key: optionalText('key of the taint; absent for every one'),
  operator: optionalText('Equal (the default) or Exists'),
  value: optionalText('value of the taint'),
  effect: optionalText('NoSchedule, PreferNoSchedule or NoExecute; absent for each'),
  tolerationSeconds: optionalInteger('for how long a taint of NoExecute is tolerated; absent for ever'),
});

/** Members of a node placement. */
export const placementMembers = {
  nodeSelector: optionalTextMap('labels that the nodes have, with these very values'),
  affinity: optionalObject('which nodes are wanted, and beside which pods', {
    nodeAffinity,
    podAffinity: podAffinity('places where certain pods run'),
    podAntiAffinity: podAffinity('places where certain pods do not run'),
  }),
  tolerations: optionalList(Toleration, 'taints of nodes that do not keep the pods away'),
};
