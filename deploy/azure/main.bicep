// Meridian on Azure Cosmos DB: the account and its container, an identity with the right to write there, and
// replicas on a scale set behind port 2379. README.md says how; azuredeploy.json says the same, and is
// made from this by check/twin.py.

@description('Where the replicas run: best the account\'s write region, the first of regions.')
param location string = resourceGroup().location

@description('Prefix of the names of what is made.')
@minLength(2)
@maxLength(20)
param name string = 'meridian'

@description('Name of the account, unique in all of Azure: lower case letters, digits and dashes.')
@minLength(3)
@maxLength(44)
param accountName string = 'meridian-${uniqueString(resourceGroup().id)}'

@description('Regions of the account. The first one writes; the others take over in this order. Three or more, so that Strong survives the loss of one.')
@minLength(1)
param regions array

@description('Whether each region keeps its copies in several availability zones. Cannot be changed later for a region.')
param zoneRedundantRegions bool = true

@description('Strong loses nothing with a region. BoundedStaleness can lose up to its bound. Weaker levels are refused by Meridian.')
@allowed(['Strong', 'BoundedStaleness'])
param consistency string = 'Strong'

@description('Of BoundedStaleness: writes that a region may lag. With several regions at least 100000.')
@minValue(10)
@maxValue(2147483647)
param maxStalenessPrefix int = 100000

@description('Of BoundedStaleness: seconds that a region may lag. With several regions at least 300.')
@minValue(5)
@maxValue(86400)
param maxStalenessSeconds int = 300

@description('How far back the account can be restored. 30 days are charged for, 7 days are not.')
@allowed(['Continuous7Days', 'Continuous30Days'])
param backupTier string = 'Continuous7Days'

@description('Highest throughput of the container (RU/s, in thousands); a tenth of it is paid for always. One log never needs more than 10000.')
@minValue(1000)
@maxValue(1000000)
param autoscaleMaxThroughput int = 4000

@description('Enabled: the account answers the replicas\' subnet and allowedAddresses, at its public name. Disabled: a private endpoint in the subnet, and nobody else.')
@allowed(['Enabled', 'Disabled'])
param accountPublicNetworkAccess string = 'Enabled'

@description('Public IPv4 addresses or ranges that reach the account too, with accountPublicNetworkAccess Enabled. For operators.')
param allowedAddresses array = []

@description('Where the binary is fetched from when a machine is made: the bare program, for the architecture of vmSize.')
@minLength(10)
param binaryUrl string

@description('SHA-256 of the binary, in hexadecimal.')
@minLength(64)
@maxLength(64)
param binarySha256 string

@description('Name of the etcd cluster (--initial-cluster-token). Several clusters can share a container, each under its own.')
@minLength(1)
@maxLength(60)
param clusterName string = 'meridian'

@description('Replicas. Any number works, since none has a vote: two survive the loss of one.')
@minValue(1)
@maxValue(20)
param replicaCount int = 3

@description('Size of each replica\'s machine: all data is held in memory.')
param vmSize string = 'Standard_D2as_v5'

@description('Availability zones of the replicas; empty where the region has none.')
param zones array = ['1', '2', '3']

@description('Bytes of data above which writes are refused (--quota-backend-bytes).')
@minValue(0)
param quotaBytes int = 2147483648

@description('Where clients reach port 2379: in the virtual network, or from the internet as well.')
@allowed(['Internal', 'Public'])
param exposure string = 'Internal'

@description('Of a Public endpoint: the first part of its name, NAME.REGION.cloudapp.azure.com. The server certificate must be valid for it.')
param dnsLabel string = accountName

@description('Of an Internal endpoint: its address in the subnet. The server certificate must be valid for it.')
param endpointAddress string = '10.79.0.250'

@description('Addresses of the virtual network. Peer it to where the clients are.')
param networkPrefix string = '10.79.0.0/16'

@description('Addresses of the replicas, in networkPrefix.')
param subnetPrefix string = '10.79.0.0/24'

@description('Replicas of the same cluster elsewhere, made by this template under another name: the ids of their subnets, which the account answers too.')
param otherSubnets array = []

@description('The addresses of those replicas, which may reach port 2380: as their subnetPrefix.')
param otherReplicaPrefixes array = []

@description('Who may reach port 2379: a service tag, an address or a range. VirtualNetwork includes peered ones.')
param clientAddressPrefix string = 'VirtualNetwork'

@description('Certificates of the CA whose clients are let in: base64 of a PEM file.')
@minLength(1)
param primaryClientCertificatePemBytes string

@description('A second one, while clients change from one CA to another: base64 of a PEM file.')
param secondaryClientCertificatePemBytes string = ''

@description('The certificate that clients are shown, with its chain: base64 of a PEM file.')
@minLength(1)
param serverCertificatePemBytes string

@description('Its key, without a password: base64 of a PEM file.')
@secure()
param serverKeyPemBytes string

@description('Certificates of the CA of the replicas among themselves; the first one signs: base64 of a PEM file.')
@minLength(1)
param peerAuthorityPemBytes string

@description('The key of the first of them: base64 of a PEM file.')
@secure()
param peerAuthorityKeyPemBytes string

@description('Name of the machines\' administrator. No port is open to it: az vmss run-command reaches the machines.')
param adminUsername string = 'meridian-admin'

@description('Its public SSH key: Linux machines need one, since there is no password.')
@minLength(1)
param adminSshPublicKey string

@description('Tags of all that is made.')
param tags object = {}

var internal = exposure == 'Internal'
var privateAccount = accountPublicNetworkAccess == 'Disabled'
var subnetId = resourceId('Microsoft.Network/virtualNetworks/subnets', '${name}-network', 'replicas')
var accountSubnets = privateAccount ? [] : concat([subnetId], otherSubnets)
var balancerName = '${name}-balancer'
// Of the cloud's built-in roles: Key Vault Secrets User.
var secretsUser = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
var secondAuthority = empty(secondaryClientCertificatePemBytes) ? '' : base64ToString(secondaryClientCertificatePemBytes)
var clientAuthorities = '${base64ToString(primaryClientCertificatePemBytes)}\n${secondAuthority}'

// --- Who the replicas are ---

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-identity'
  location: location
  tags: tags
}

// --- The network ---

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2026-03-01' = {
  name: '${name}-rules'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'clients'
        properties: {
          description: 'etcd clients, over mutual TLS'
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: clientAddressPrefix
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '2379'
        }
      }
      {
        name: 'peers'
        properties: {
          description: 'replicas among themselves, over mutual TLS'
          priority: 110
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefixes: concat([subnetPrefix], otherReplicaPrefixes)
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '2380'
        }
      }
      {
        name: 'pages'
        properties: {
          description: 'metrics and health, which hold no data: for Prometheus'
          priority: 120
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '2381'
        }
      }
      {
        name: 'probes'
        properties: {
          description: 'the load balancer asks who is ready'
          priority: 130
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'AzureLoadBalancer'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '2381'
        }
      }
      {
        name: 'nobody-else'
        properties: {
          description: 'not SSH either'
          priority: 4000
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource outboundAddress 'Microsoft.Network/publicIPAddresses@2026-03-01' = {
  name: '${name}-outbound'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  zones: zones
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

// The way to the binary and to the distribution's packages. The account and the vault are reached without it.
resource outbound 'Microsoft.Network/natGateways@2026-03-01' = {
  name: '${name}-nat'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: outboundAddress.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2026-03-01' = {
  name: '${name}-network'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        networkPrefix
      ]
    }
    subnets: [
      {
        name: 'replicas'
        properties: {
          addressPrefix: subnetPrefix
          networkSecurityGroup: {
            id: securityGroup.id
          }
          natGateway: {
            id: outbound.id
          }
          serviceEndpoints: [
            {
              service: 'Microsoft.AzureCosmosDB'
            }
            {
              service: 'Microsoft.KeyVault'
            }
          ]
        }
      }
    ]
  }
}

resource publicAddress 'Microsoft.Network/publicIPAddresses@2026-03-01' = if (!internal) {
  name: '${name}-endpoint'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  zones: zones
  properties: {
    publicIPAllocationMethod: 'Static'
    dnsSettings: {
      domainNameLabel: dnsLabel
    }
  }
}

resource balancer 'Microsoft.Network/loadBalancers@2026-03-01' = {
  name: balancerName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    frontendIPConfigurations: [
      {
        name: 'endpoint'
        zones: internal ? zones : []
        properties: internal ? {
          privateIPAddress: endpointAddress
          privateIPAllocationMethod: 'Static'
          subnet: {
            id: subnetId
          }
        } : {
          publicIPAddress: {
            id: publicAddress.id
          }
        }
      }
    ]
    backendAddressPools: [
      {
        name: 'replicas'
      }
    ]
    probes: [
      {
        name: 'ready'
        properties: {
          protocol: 'Http'
          port: 2381
          requestPath: '/readyz'
          intervalInSeconds: 5
          probeThreshold: 2
        }
      }
    ]
    loadBalancingRules: [
      {
        name: 'etcd'
        properties: {
          frontendIPConfiguration: {
            id: resourceId('Microsoft.Network/loadBalancers/frontendIPConfigurations', balancerName, 'endpoint')
          }
          backendAddressPool: {
            id: resourceId('Microsoft.Network/loadBalancers/backendAddressPools', balancerName, 'replicas')
          }
          probe: {
            id: resourceId('Microsoft.Network/loadBalancers/probes', balancerName, 'ready')
          }
          protocol: 'Tcp'
          frontendPort: 2379
          backendPort: 2379
          // Watches are silent for minutes; etcd's clients ping oftener than this.
          idleTimeoutInMinutes: 30
          enableTcpReset: true
          disableOutboundSnat: true
        }
      }
    ]
  }
  dependsOn: [
    network
  ]
}

// --- The store ---

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = {
  name: accountName
  location: regions[0]
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    locations: [for (region, place) in regions: {
      locationName: region
      failoverPriority: place
      isZoneRedundant: zoneRedundantRegions
    }]
    consistencyPolicy: consistency == 'Strong' ? {
      defaultConsistencyLevel: 'Strong'
    } : {
      defaultConsistencyLevel: 'BoundedStaleness'
      maxStalenessPrefix: maxStalenessPrefix
      maxIntervalInSeconds: maxStalenessSeconds
    }
    enableMultipleWriteLocations: false
    enableAutomaticFailover: true
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: backupTier
      }
    }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: accountPublicNetworkAccess
    isVirtualNetworkFilterEnabled: !privateAccount
    virtualNetworkRules: [for subnet in accountSubnets: {
      id: subnet
    }]
    ipRules: [for address in allowedAddresses: {
      ipAddressOrRange: address
    }]
    networkAclBypass: 'None'
  }
  dependsOn: [
    network
  ]
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2026-03-15' = {
  parent: account
  name: 'EtcdDB'
  properties: {
    resource: {
      id: 'EtcdDB'
    }
  }
}

// No defaultTtl: an item that went by itself would be a hole in the log.
resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2026-03-15' = {
  parent: database
  name: 'EtcdData'
  properties: {
    resource: {
      id: 'EtcdData'
      partitionKey: {
        paths: [
          '/pk'
        ]
        kind: 'Hash'
        version: 2
      }
      indexingPolicy: {
        automatic: true
        indexingMode: 'consistent'
        includedPaths: [
          {
            path: '/slot/?'
          }
        ]
        excludedPaths: [
          {
            path: '/*'
          }
        ]
      }
    }
    options: {
      autoscaleSettings: {
        maxThroughput: autoscaleMaxThroughput
      }
    }
  }
}

// Cosmos DB Built-in Data Contributor: reads and writes items, and makes no containers.
resource writes 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2026-03-15' = {
  parent: account
  name: guid(account.id, identity.id, 'Data Contributor')
  properties: {
    roleDefinitionId: '${account.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002'
    principalId: identity.properties.principalId
    scope: account.id
  }
}

resource accountEndpoint 'Microsoft.Network/privateEndpoints@2026-03-01' = if (privateAccount) {
  name: '${name}-account'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: 'account'
        properties: {
          privateLinkServiceId: account.id
          groupIds: [
            'Sql'
          ]
        }
      }
    ]
  }
  dependsOn: [
    network
  ]
}

resource accountZone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (privateAccount) {
  name: 'privatelink.documents.azure.com'
  location: 'global'
  tags: tags
}

resource accountZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = if (privateAccount) {
  parent: accountZone
  name: '${name}-network'
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource accountZoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2026-03-01' = if (privateAccount) {
  parent: accountEndpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'account'
        properties: {
          privateDnsZoneId: accountZone.id
        }
      }
    ]
  }
}

// --- Certificates: the machines ask for them each hour, so a new one needs no new machine ---

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' = {
  name: 'kv-${uniqueString(resourceGroup().id, name)}'
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      ipRules: [for address in allowedAddresses: {
        value: address
      }]
      virtualNetworkRules: [
        {
          id: subnetId
        }
      ]
    }
  }
  dependsOn: [
    network
  ]
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, identity.id, 'Key Vault Secrets User')
  properties: {
    roleDefinitionId: secretsUser
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource clientCa 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: 'client-ca'
  properties: {
    contentType: 'application/x-pem-file'
    value: clientAuthorities
  }
}

resource serverCertificate 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: 'server-certificate'
  properties: {
    contentType: 'application/x-pem-file'
    value: base64ToString(serverCertificatePemBytes)
  }
}

resource serverKey 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: 'server-key'
  properties: {
    contentType: 'application/x-pem-file'
    value: base64ToString(serverKeyPemBytes)
  }
}

resource peerCa 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: 'peer-ca'
  properties: {
    contentType: 'application/x-pem-file'
    value: base64ToString(peerAuthorityPemBytes)
  }
}

resource peerCaKey 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: 'peer-ca-key'
  properties: {
    contentType: 'application/x-pem-file'
    value: base64ToString(peerAuthorityKeyPemBytes)
  }
}

// --- The replicas ---

var endpoint = internal ? 'https://${endpointAddress}:2379' : 'https://${publicAddress.properties.dnsSettings.fqdn}:2379'
var journal = 'cosmos://${accountName}/EtcdDB/EtcdData?client_id=${identity.properties.clientId}&region=${uriComponent(location)}'
var start1 = replace(loadTextContent('cloud-init.yaml'), '@BINARY_URL@', binaryUrl)
var start2 = replace(start1, '@BINARY_SHA256@', toLower(binarySha256))
var start3 = replace(replace(start2, '@CLUSTER@', clusterName), '@QUOTA@', string(quotaBytes))

resource replicas 'Microsoft.Compute/virtualMachineScaleSets@2026-04-01' = {
  name: '${name}-replicas'
  location: location
  tags: tags
  sku: {
    name: vmSize
    tier: 'Standard'
    capacity: replicaCount
  }
  zones: zones
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    orchestrationMode: 'Uniform'
    overprovision: false
    zoneBalance: !empty(zones)
    platformFaultDomainCount: empty(zones) ? 5 : 1
    upgradePolicy: {
      mode: 'Manual'
    }
    virtualMachineProfile: {
      storageProfile: {
        imageReference: {
          publisher: 'Canonical'
          offer: 'ubuntu-24_04-lts'
          sku: 'server'
          version: 'latest'
        }
        osDisk: {
          createOption: 'FromImage'
          caching: 'ReadWrite'
          managedDisk: {
            storageAccountType: 'Premium_LRS'
          }
        }
      }
      securityProfile: {
        securityType: 'TrustedLaunch'
        uefiSettings: {
          secureBootEnabled: true
          vTpmEnabled: true
        }
      }
      osProfile: {
        computerNamePrefix: 'meridian-'
        adminUsername: adminUsername
        linuxConfiguration: {
          disablePasswordAuthentication: true
          ssh: {
            publicKeys: [
              {
                path: '/home/${adminUsername}/.ssh/authorized_keys'
                keyData: adminSshPublicKey
              }
            ]
          }
        }
        customData: base64(replace(replace(replace(replace(start3, '@JOURNAL@', journal), '@ENDPOINT@', endpoint), '@CLIENT_ID@', identity.properties.clientId), '@VAULT@', vault.properties.vaultUri))
      }
      networkProfile: {
        networkInterfaceConfigurations: [
          {
            name: 'nic'
            properties: {
              primary: true
              enableAcceleratedNetworking: true
              ipConfigurations: [
                {
                  name: 'address'
                  properties: {
                    primary: true
                    subnet: {
                      id: subnetId
                    }
                    loadBalancerBackendAddressPools: [
                      {
                        id: resourceId('Microsoft.Network/loadBalancers/backendAddressPools', balancerName, 'replicas')
                      }
                    ]
                  }
                }
              ]
            }
          }
        ]
      }
    }
  }
  dependsOn: [
    network
    balancer
    container
    writes
    accountZoneLink
    accountZoneGroup
    reads
    clientCa
    serverCertificate
    serverKey
    peerCa
    peerCaKey
  ]
}

@description('What kube-apiserver gets as --etcd-servers.')
output endpoint string = endpoint

@description('Name of the account.')
output accountName string = account.name

@description('Where the account answers.')
output accountEndpoint string = account.properties.documentEndpoint

@description('What the replicas have as --journal.')
output journal string = journal

@description('Who the replicas are, for rights elsewhere.')
output principalId string = identity.properties.principalId

@description('The vault whose secrets are the certificates.')
output vaultName string = vault.name
