// Addresses that exist only inside a cluster, so clusters side by side share them.

export const serviceRange = '10.96.0.0/16';
/** Of the Service `kubernetes`. */
export const firstServiceAddress = '10.96.0.1';
