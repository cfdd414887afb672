"""A developer's own program, which knows nothing of the sandbox: where its client leads is not its matter."""

from openai import OpenAI

client = OpenAI()

for question in ("What is a circuit breaker?", "When does it open?"):
    answer = client.chat.completions.create(model="gpt-3.5-turbo", messages=[{"role": "user", "content": question}])
    print(len(answer.choices[0].message.content or "") > 0, answer.choices[0].finish_reason)

pieces, reason = [], None
for chunk in client.chat.completions.create(
    model="gpt-3.5-turbo", messages=[{"role": "user", "content": "And when does it close?"}], stream=True
):
    for choice in chunk.choices:
        pieces.append(choice.delta.content or "")
        reason = choice.finish_reason or reason
print(len("".join(pieces)) > 0, reason)
