"""OpenAI's client for Python, unmodified, against the server at BASE_URL."""

import json
import math
import os
import typing
import unittest

import openai
import pydantic

MODEL = "tiny"
MESSAGES = [{"role": "user", "content": "It was a cold morning"}]
PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Graz", "Wien"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "How the weather is", "parameters": PARAMETERS}}]


def client(key="secret"):
    return openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=key, max_retries=0)


class Client(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)
        self.create = self.client.chat.completions.create

    def is_weather(self, text):
        args = json.loads(text)
        self.assertIn(args["city"], ["Graz", "Wien"])
        self.assertIn(args["days"], range(1, 10))

    def test_chat_and_stream(self):
        request = dict(model=MODEL, messages=MESSAGES, max_completion_tokens=16, seed=7)
        whole = self.create(**request)
        self.assertEqual(whole.choices[0].finish_reason, "length")
        self.assertEqual(whole.usage.completion_tokens, 16)
        text, usage = "", None
        for chunk in self.create(**request, stream=True, stream_options={"include_usage": True}):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            usage = chunk.usage or usage
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertTrue(text)
        self.assertEqual(usage.completion_tokens, 16)

    def test_tools(self):
        request = dict(
            model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="required",
            parallel_tool_calls=False, max_completion_tokens=150, seed=3,
        )
        choice = self.create(**request).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        call = choice.message.tool_calls[0]
        self.assertEqual(call.function.name, "weather")
        self.is_weather(call.function.arguments)
        streamed = ""
        for chunk in self.create(**request, stream=True):
            for part in chunk.choices[0].delta.tool_calls or []:
                self.assertEqual(part.index, 0)
                streamed += part.function.arguments or ""
        self.assertEqual(streamed, call.function.arguments)
        result = {"role": "tool", "tool_call_id": call.id, "content": "wet"}
        request.update(messages=[*MESSAGES, choice.message, result], tool_choice="none", max_completion_tokens=4)
        self.assertTrue(self.create(**request).choices[0].message.content)

    def test_reasoning(self):
        choice = self.create(
            model="thinker", messages=MESSAGES, max_completion_tokens=8, extra_body={"chat_template_kwargs": {"think": True}}
        ).choices[0]
        self.assertTrue(choice.message.reasoning_content)

    def test_json_schema(self):
        schema = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": PARAMETERS}}
        answer = self.create(model=MODEL, messages=MESSAGES, max_completion_tokens=120, seed=1, response_format=schema)
        self.is_weather(answer.choices[0].message.content)

    def test_logprobs(self):
        choice = self.create(model=MODEL, messages=MESSAGES, max_completion_tokens=3, seed=1, logprobs=True, top_logprobs=2).choices[0]
        tokens = choice.logprobs.content
        self.assertEqual("".join(t.token for t in tokens), choice.message.content)
        for token in tokens:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 2)

    def test_responses(self):
        request = dict(model=MODEL, input="It was a cold morning", max_output_tokens=16, extra_body={"seed": 7})
        whole = self.client.responses.create(**request)
        self.assertEqual(whole.status, "incomplete")
        self.assertEqual(whole.usage.output_tokens, 16)
        text = ""
        for event in self.client.responses.create(**request, stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
        self.assertEqual(text, whole.output_text)
        self.assertTrue(text)
        follow = self.client.responses.create(model=MODEL, input="And?", previous_response_id=whole.id, max_output_tokens=4)
        self.assertGreater(follow.usage.input_tokens, whole.usage.input_tokens + 16)
        self.assertEqual(self.client.responses.retrieve(whole.id).output_text, text)
        self.client.responses.delete(whole.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(whole.id)

    def test_responses_tools(self):
        tool = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
        request = dict(
            model=MODEL, input="It was a cold morning", tools=[tool], tool_choice={"type": "function", "name": "weather"},
            parallel_tool_calls=False, max_output_tokens=150, extra_body={"seed": 3},
        )
        with self.client.responses.stream(**request) as stream:
            final = [event for event in stream][-1].response
        call = final.output[0]
        self.assertEqual((final.status, call.type, call.name), ("completed", "function_call", "weather"))
        self.is_weather(call.arguments)
        request.update(
            input=[{"role": "user", "content": request["input"]}, *final.output, {"type": "function_call_output", "call_id": call.call_id, "output": "wet"}],
            tool_choice="none", max_output_tokens=4,
        )
        self.assertTrue(self.client.responses.create(**request).output_text)

    def test_responses_schema(self):
        class Weather(pydantic.BaseModel):
            city: typing.Literal["Graz", "Wien"]
            days: int

        answer = self.client.responses.parse(model=MODEL, input="It was a cold morning", text_format=Weather, max_output_tokens=200)
        self.assertIn(answer.output_parsed.city, ["Graz", "Wien"])

    def test_embeddings(self):
        answer = self.client.embeddings.create(model=MODEL, input=["a cold morning", "another"])
        self.assertEqual(len(answer.data), 2)
        self.assertAlmostEqual(math.hypot(*answer.data[0].embedding), 1, places=3)

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create(model=MODEL, messages=MESSAGES, temperature=-1)
        self.assertIn("temperature", caught.exception.message)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("none")
        with client("wrong") as stranger, self.assertRaises(openai.AuthenticationError):
            stranger.models.list()

    def test_abort(self):
        with self.create(model=MODEL, messages=MESSAGES, stream=True, max_completion_tokens=400) as stream:
            for _, _ in zip(range(3), stream):
                pass
        self.assertTrue(self.client.models.list().data)


if __name__ == "__main__":
    unittest.main()
