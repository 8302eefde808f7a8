___INFO___

{
  "type": "TAG",
  "id": "cvt_temp_public_id",
  "version": 1,
  "securityGroups": [],
  "displayName": "Pharos",
  "brand": {
    "id": "brand_dummy",
    "displayName": "Pharos"
  },
  "description": "Loads the Pharos tag from your own collector, or sends an event with it.",
  "containerContexts": [
    "WEB"
  ],
  "categories": [
    "ANALYTICS",
    "ATTRIBUTION"
  ]
}


___TEMPLATE_PARAMETERS___

[
  {
    "type": "RADIO",
    "name": "kind",
    "displayName": "This tag",
    "simpleValueType": true,
    "defaultValue": "load",
    "radioItems": [
      {
        "value": "load",
        "displayValue": "loads Pharos and counts page views"
      },
      {
        "value": "event",
        "displayValue": "sends an event"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "site",
    "displayName": "Site",
    "simpleValueType": true,
    "help": "The site's key in sites.toml; several with spaces between",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "hosts",
    "displayName": "Hosts that count",
    "simpleValueType": true,
    "help": "Empty: all but this machine",
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "CHECKBOX",
    "name": "consentMode",
    "checkboxText": "Take consent from Google Consent Mode (analytics_storage)",
    "simpleValueType": true,
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "SIMPLE_TABLE",
    "name": "options",
    "displayName": "Options",
    "help": "Attributes of docs/tag.md in camel case, such as links or notFound",
    "simpleTableColumns": [
      {
        "name": "name",
        "displayName": "Name",
        "type": "TEXT",
        "isUnique": true
      },
      {
        "name": "value",
        "displayName": "Value",
        "type": "TEXT"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "event",
    "displayName": "Event",
    "simpleValueType": true,
    "help": "1-64 letters, digits, '_', '.', ':', '-'",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "event",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "value",
    "displayName": "Value",
    "simpleValueType": true,
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "event",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "currency",
    "displayName": "Currency",
    "simpleValueType": true,
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "event",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "id",
    "displayName": "Id",
    "simpleValueType": true,
    "help": "With the same id, a server's copy counts once",
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "event",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "user_id",
    "displayName": "User id",
    "simpleValueType": true,
    "help": "Never an e-mail address",
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "event",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "SIMPLE_TABLE",
    "name": "props",
    "displayName": "Properties",
    "help": "Up to 32",
    "simpleTableColumns": [
      {
        "name": "name",
        "displayName": "Name",
        "type": "TEXT",
        "isUnique": true
      },
      {
        "name": "value",
        "displayName": "Value",
        "type": "TEXT"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "kind",
        "paramValue": "event",
        "type": "EQUALS"
      }
    ]
  }
]


___SANDBOXED_JS_FOR_WEB_TEMPLATE___

// Starts the tag, or sends an event. The collector's address is the one that the template may load scripts from.
const createArgumentsQueue = require('createArgumentsQueue');
const injectScript = require('injectScript');
const setInWindow = require('setInWindow');

const api = 'https://px.example.com/';
const pharos = createArgumentsQueue('pharos', 'pharos.q');

if (data.kind === 'event') {
  const fields = {};
  ['value', 'currency', 'id', 'user_id'].forEach((name) => {
    if (data[name]) fields[name] = data[name];
  });
  (data.props || []).forEach((row) => {
    fields.props = fields.props || {};
    fields.props[row.name] = row.value;
  });
  pharos(data.event, fields);
  data.gtmOnSuccess();
} else {
  const dataset = { site: data.site, api: api };
  if (data.hosts) dataset.hosts = data.hosts;
  if (data.consentMode) dataset.cmp = 'gcm';
  (data.options || []).forEach((row) => {
    dataset[row.name] = row.value || '1';
  });
  setInWindow('pharosTag', { dataset: dataset }, true);
  injectScript(api + 't.js', data.gtmOnSuccess, data.gtmOnFailure, 'pharos');
}


___WEB_PERMISSIONS___

[
  {
    "instance": {
      "key": {
        "publicId": "access_globals",
        "versionId": "1"
      },
      "param": [
        {
          "key": "keys",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "pharos"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "pharos.q"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "pharosTag"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "inject_script",
        "versionId": "1"
      },
      "param": [
        {
          "key": "urls",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 1,
                "string": "https://px.example.com/*"
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  }
]


___TESTS___

scenarios:
- name: loads the tag
  code: |-
    mock('injectScript', (url, done) => done());
    runCode({ kind: 'load', site: 'shop' });
    assertApi('injectScript').wasCalled();
    assertApi('gtmOnSuccess').wasCalled();
- name: sends an event
  code: |-
    runCode({ kind: 'event', event: 'signup' });
    assertApi('injectScript').wasNotCalled();
    assertApi('gtmOnSuccess').wasCalled();


___NOTES___

Replace px.example.com, which occurs twice, by your collector before you import this file.
