// Manifests to begin with: one entry in full, one in short, in each format.

export const samples = {
  xml: `<?xml version="1.0" encoding="UTF-8"?>
<mrss version="1.0">
  <channel>
    <item>
      <action>add</action>
      <type>1</type>
      <referenceId>harbour-tour-0042</referenceId>
      <name>Harbour tour, full sphere</name>
      <description>Recorded on the quay in spring.</description>
      <tags>
        <tag>360</tag>
        <tag>harbour</tag>
      </tags>
      <categories>
        <category>Spaces&gt;Course 101</category>
      </categories>
      <media>
        <mediaType>1</mediaType>
      </media>
      <contentAssets>
        <content>
          <dropFolderFileContentResource filePath="harbour.mp4"/>
        </content>
      </contentAssets>
    </item>
    <item>
      <type>1</type>
      <name>Lighthouse</name>
      <media>
        <mediaType>1</mediaType>
      </media>
      <contentAssets>
        <content>
          <dropFolderFileContentResource filePath="lighthouse.mp4"/>
        </content>
      </contentAssets>
    </item>
  </channel>
</mrss>
`,
  json: `{
  "items": [
    {
      "action": "add",
      "type": "video",
      "reference_id": "harbour-tour-0042",
      "name": "Harbour tour, full sphere",
      "description": "Recorded on the quay in spring.",
      "tags": ["360", "harbour"],
      "categories": ["Spaces>Course 101"],
      "contents": [{ "file": "harbour.mp4" }]
    },
    {
      "type": "video",
      "name": "Lighthouse",
      "contents": [{ "file": "lighthouse.mp4" }]
    }
  ]
}
`,
  csv: `action,type,reference_id,name,description,tags,categories,file
add,video,harbour-tour-0042,"Harbour tour, full sphere",Recorded on the quay in spring.,360|harbour,Spaces>Course 101,harbour.mp4
add,video,,Lighthouse,,,,lighthouse.mp4
`,
} as const;
